'use strict';
// The same as plugins/module_utils/failures (match.py, text.py, base.py), whose expressions and entries it is given; tests compare them.
const K = JSON.parse(document.getElementById('known').textContent);
const MOST = 1 << 20;
const rule = ([source, flags], more = '') => new RegExp(source, flags + more);
const R = Object.fromEntries(Object.entries(K.rules).map(([name, given]) => [name, rule(given, name === 'before' || name === 'after' ? 'm' : '')]));
const every = (name) => rule(K.rules[name], name === 'after' ? 'gm' : 'g');
let ready = null;
const failures = () => ready ||= K.failures.map((one) => ({...one, patterns: one.patterns.map((p) => new RegExp(p, 'gm')), unless: one.unless.map((p) => new RegExp(p, 'm')), context: one.context.map((p) => new RegExp(p, 'm'))}));
const explains = Object.fromEntries(K.failures.map(({id}) => {
  const direct = (name) => (K.failures.find((one) => one.id === name) || {explains: []}).explains;
  const reached = new Set(), ahead = [...direct(id)];
  while (ahead.length) { const one = ahead.pop(); if (!reached.has(one)) { reached.add(one); ahead.push(...direct(one)); } }
  reached.delete(id);
  return [id, reached];
}));
const plain = (text) => text.replaceAll('\r\n', '\n').replaceAll('\r', '\n').replace(every('terminal'), '');
function comparable(text) {
  if (text.includes('`')) text = text.split('\n').map((line) => line.search(rule(K.rules.telling, 'y')) === 0 ? line.replace(every('code'), '`…`') : line).join('\n');
  text = [...text].map((char) => K.quotes[char] ?? char).join('');
  for (const [said, meant] of K.english) text = text.replaceAll(said, meant);
  return text.split('\n').map((line) => line.replace(R.before, '')).join('\n').replace(every('after'), '');
}
function told(text, match) {
  const stop = match.index + match[0].length, end = text.indexOf('\n', stop);
  const before = text.slice(text.lastIndexOf('\n', match.index - 1) + 1, match.index), behind = text.slice(stop, end < 0 ? text.length : end);
  if (rule(K.rules.told_behind, 'y').test(behind)) return true;
  return !R.printed.test(before) && (R.told_before.test(before) || (before !== '' && R.aside.test(before)));
}
const filled = (template, values) => template.replace(/\{([a-z_]+)\}/g, (whole, name) => values[name] ?? whole);
function recognise(pasted) {
  const shown = plain(pasted), text = comparable(shown), lines = shown.split('\n'), found = [];
  const ours = {...(R.ours.exec(text) || {}).groups};
  const lineOf = (index) => text.slice(0, index).split('\n').length - 1;
  for (const failure of failures()) {
    let first = null;
    for (const pattern of failure.patterns) for (const match of text.matchAll(pattern)) if (!told(text, match)) {
      if (!first || match.index < first.index) first = match;
      break;
    }
    if (!first || failure.unless.some((pattern) => pattern.test(text))) continue;
    const groups = (match) => Object.fromEntries(Object.entries(match.groups || {}).filter(([, value]) => value));
    let captures = groups(first);
    for (const pattern of failure.context) { const near = pattern.exec(text); if (near) captures = {...groups(near), ...captures}; }
    const values = {...failure.defaults, ...ours, ...captures};
    for (const [name, {key, table, default: otherwise}] of Object.entries(failure.lookups)) {
      const value = (typeof table === 'string' ? K.tables[table] || {} : table)[values[key] ?? ''] ?? otherwise;
      if (value !== undefined) values[name] = filled(value, values);
    }
    const fits = ({when = {}}) => Object.entries(when).every(([name, pattern]) => name in values && new RegExp(`^(?:${pattern})$`).test(values[name]));
    const remedy = failure.remedies.find(fits) || failure.remedies.at(-1), line = lineOf(first.index);
    found.push({id: failure.id, title: failure.title, severity: failure.severity, echo: failure.echo, line, said: lines[line], cause: filled(failure.cause, values), remedy: filled(remedy.remedy, values), command: filled(remedy.command || '', values), because: ''});
  }
  const rank = (one) => ['deadly', 'degrades', 'harmless'].indexOf(one.severity), order = (a, b) => rank(a) - rank(b) || a.line - b.line;
  const causes = (item) => found.filter((one) => (explains[one.id].has(item.id) && !explains[item.id].has(one.id)) || (item.echo && one.severity === 'deadly' && !one.echo));
  const roots = found.filter((item) => !causes(item).length).sort(order);
  for (const item of found) if (!roots.includes(item)) item.because = (roots.find((root) => causes(item).includes(root)) || {id: ''}).id;
  return roots.flatMap((root) => [root, ...found.filter((item) => item.because === root.id).sort(order)]);
}
function answer() {
  const pasted = byId('pasted').value, known = pasted.trim() ? recognise(pasted.slice(-MOST)) : [];
  const words = (one) => one.because ? `<p class="dim">line ${one.line + 1}: ${escape(one.title)} (${one.id}) follows from it</p>` : `<article class="problem ${one.severity === 'deadly' ? '' : one.severity === 'harmless' ? 'good' : 'odd'}"><p><b>${one.severity}: ${escape(one.title)}</b> (${one.id}, line ${one.line + 1})</p><p class="dim">${escape(one.said.slice(0, 300))}</p><p>${escape(one.cause)}</p><p class="remedy">${escape(one.remedy)}</p>${one.command ? `<p><code>${escape(one.command)}</code></p>` : ''}</article>`;
  byId('means').innerHTML = !pasted.trim() ? '' : known.length ? known.map(words).join('') : `<p>Not recognised: none of ${K.failures.length} known failures is in this text. Paste more of it, from its first error on.</p>`;
}
let waits = 0;
byId('pasted').addEventListener('input', () => { clearTimeout(waits); waits = setTimeout(answer, 150); });
