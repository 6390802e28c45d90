'use strict';
const D = JSON.parse(document.getElementById('data').textContent);
const E = JSON.parse(document.getElementById('evidence').textContent);
const T = D.texts, byId = (id) => document.getElementById(id);
const escape = (text) => String(text).replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
const WORDS = {p: 'passed', f: 'failed', u: 'not judged', s: 'skipped', '-': 'not run'};
const MARKS = {p: '✓', f: '✗', u: '?', s: '·', '-': ''};
const VERDICTS = {healthy: '✓', failed: '✗', unjudged: '?', unknown: '·'};
const WORST = ['f', 'u', 'p', 's', '-'];
const groups = [...new Set(D.checks.map(([id]) => id.split('.')[0]))];
const members = Object.fromEntries(groups.map((group) => [group, D.checks.flatMap(([id], n) => id.split('.')[0] === group ? [n] : [])]));

const hostsOf = (n) => `${n} host${n === 1 ? '' : 's'}`;
const hosts = D.hosts.map(([name, told, refusals, warnings, environments]) => {
  const [system, machine, processor, gpus, sibling] = told.map((n) => T[n]);
  const rows = environments.map(([name, verdict, generation, seconds, told, marks, details, generations, lists, evidence, performance]) => {
    const [stack, why, variant, versions] = told.map((n) => T[n]);
    const [considered, wheels, overrides] = lists.map((list) => list.map((n) => T[n]));
    return {name, verdict, generation, seconds, stack, why, variant, versions, marks, details, generations, considered, wheels, overrides, evidence, performance};
  });
  const order = ['failed', 'unjudged', 'unknown', 'healthy'];
  const verdict = refusals.length ? 'failed' : order.find((one) => rows.some((row) => row.verdict === one)) || 'unknown';
  const broken = rows.flatMap((row) => [...row.marks].flatMap((mark, n) => 'fu'.includes(mark) ? [D.checks[n][0], T[row.details[n][0]]] : []));
  const text = [name, system, machine, processor, gpus, verdict, ...rows.flatMap((row) => [row.name, row.stack, row.variant, row.versions, row.generation]), ...broken].join(' ').toLowerCase();
  return {name, system, machine, processor, gpus, sibling, refusals: refusals.map((n) => T[n]), warnings: warnings.map((n) => T[n]), rows, verdict, text};
});

function cell(host, group) {
  let worst = 4, count = 0;
  for (const row of host.rows) for (const n of members[group]) {
    const rank = WORST.indexOf(row.marks[n]);
    if (rank < worst) { worst = rank; count = 0; }
    if (rank === worst) count += 1;
  }
  const mark = WORST[worst];
  if (mark === '-') return '<td></td>';
  return `<td class="c ${mark}" title="${group}: ${count} ${WORDS[mark]}">${MARKS[mark]}${'fu'.includes(mark) ? ' ' + count : ''}</td>`;
}
const line = (host, n) => `<tr data-n="${n}"><th scope="row"><button class="name">${escape(host.name)}</button></th><td class="${host.verdict}">${VERDICTS[host.verdict]} ${host.verdict}</td><td class="optional">${escape(host.gpus || host.processor)}</td><td class="optional">${escape([...new Set(host.rows.map((row) => row.stack))].join(', '))}</td>${groups.map((group) => cell(host, group)).join('')}</tr>`;

byId('table').tHead.innerHTML = `<tr><th scope="col">host</th><th scope="col">verdict</th><th scope="col" class="optional">computes with</th><th scope="col" class="optional">stack</th>${groups.map((group) => `<th scope="col">${escape(group)}</th>`).join('')}</tr>`;
const body = byId('table').tBodies[0];
const FIRST = 60;
body.innerHTML = hosts.slice(0, FIRST).map(line).join('');
let complete = hosts.length <= FIRST;
function finish() {
  if (complete) return;
  complete = true;
  body.insertAdjacentHTML('beforeend', hosts.slice(FIRST).map((host, n) => line(host, n + FIRST)).join(''));
}

function filter() {
  const words = byId('query').value.toLowerCase().split(/\s+/).filter(Boolean), wanted = byId('verdict').value;
  if (words.length || wanted) finish();
  let shown = 0;
  for (const row of body.rows) {
    const host = hosts[row.dataset.n];
    row.hidden = !((!wanted || host.verdict === wanted) && words.every((word) => host.text.includes(word)));
    shown += !row.hidden;
  }
  byId('shown').textContent = words.length || wanted ? `${shown} of ${hostsOf(hosts.length)}` : hostsOf(hosts.length);
}

function problems() {
  const found = new Map();
  for (const host of hosts) {
    for (const refusal of host.refusals) {
      const [problem, remedy] = refusal.split('. Remedy: ');
      add(found, 'plan', problem, remedy || '', host, 'f');
    }
    for (const row of host.rows) [...row.marks].forEach((mark, n) => {
      if ('fu'.includes(mark)) add(found, D.checks[n][0], T[row.details[n][0]], T[row.details[n][1]], host, mark, row.name);
    });
  }
  const list = [...found.values()].sort((a, b) => (a.mark > b.mark) - (a.mark < b.mark) || b.hosts.length - a.hosts.length);
  byId('failures').innerHTML = list.length ? list.slice(0, 200).map((one) => `<article class="problem ${one.mark === 'u' ? 'odd' : ''}"><p><b class="${one.mark}">${MARKS[one.mark]} ${escape(one.check)}</b> ${escape(one.detail)}</p>${one.remedy ? `<p class="remedy">${escape(one.remedy)}</p>` : ''}<p class="dim">${one.hosts.slice(0, 12).map((name) => `<button class="name" data-host="${escape(name)}">${escape(name)}</button>`).join(' ')}${one.hosts.length > 12 ? ` and ${one.hosts.length - 12} more` : ''}</p></article>`).join('') : '<p class="healthy">✓ Nothing failed.</p>';
}
function add(found, check, detail, remedy, host, mark) {
  // Numbers differ from host to host: what is the same but for them is one problem.
  const key = [check, detail.replace(/\d+/g, '#'), remedy].join('|');
  const one = found.get(key) || found.set(key, {check, detail, remedy, mark, hosts: []}).get(key);
  if (!one.hosts.includes(host.name)) one.hosts.push(host.name);
}

function tally(id, head, pairs) {
  const found = new Map();
  for (const [key, host] of pairs) {
    const joined = key.join('\n');
    if (!found.has(joined)) found.set(joined, [key, new Set()]);
    found.get(joined)[1].add(host);
  }
  const rows = [...found.values()].sort((a, b) => b[1].size - a[1].size);
  byId(id).innerHTML = rows.length ? `<thead><tr>${[...head, 'hosts'].map((name) => `<th scope="col">${name}</th>`).join('')}</tr></thead><tbody>${rows.map(([key, names]) => `<tr>${key.map((text) => `<td class="wide">${escape(text)}</td>`).join('')}<td>${names.size === 1 ? escape([...names][0]) : names.size}</td></tr>`).join('')}</tbody>` : '<tbody><tr><td>none</td></tr></tbody>';
}

function plots() {
  const found = new Map();
  for (const host of hosts) for (const row of host.rows) for (const [what, value] of Object.entries(row.performance)) {
    const key = `${what}\n${row.name}\n${host.sibling}`;
    (found.get(key) || found.set(key, []).get(key)).push([value, host.name]);
  }
  byId('performance').innerHTML = [...found].sort().map(([key, values]) => {
    const [what, where, sibling] = key.split('\n'), machines = `${values.length} machine${values.length === 1 ? '' : 's'}`, most = Math.max(...values.map(([value]) => value)) || 1;
    const ordered = values.map(([value]) => value).sort((a, b) => a - b), median = ordered[ordered.length >> 1];
    const dots = values.map(([value, name], n) => `<circle class="dot ${values.length > 2 && value < .75 * median ? 'low' : ''}" cx="${(10 + 300 * value / most).toFixed(1)}" cy="${16 + n % 5 * 7}" r="3.5"><title>${escape(name)}: ${value}</title></circle>`).join('');
    return `<figure><svg width="330" height="68" role="img" aria-label="${escape(`${what} of ${machines} with ${sibling}, ${where}: from ${ordered[0]} to ${most}, median ${median}`)}"><line class="axis" x1="10" x2="310" y1="52" y2="52"/>${dots}<text x="10" y="65">0</text><text x="310" y="65" text-anchor="end">${most}</text></svg><figcaption><b>${escape(what)}</b>, ${escape(where)}, ${escape(sibling)}: median ${median}, ${machines}</figcaption></figure>`;
  }).join('') || '<p class="dim">Nothing was measured: wavesmith verify does it with wavesmith_performance: true.</p>';
}

const list = (title, items) => items.length ? `<h4>${title}</h4><ul>${items.map((item) => `<li>${escape(item)}</li>`).join('')}</ul>` : '';
function environment(host, row) {
  const checks = [...row.marks].flatMap((mark, n) => mark === '-' ? [] : [[mark, n]]).sort((a, b) => WORST.indexOf(a[0]) - WORST.indexOf(b[0]));
  const timeline = row.generations.map(([name, created, exit, changes]) => `<li>${name === row.generation ? '<b>' : ''}${escape(name)}${name === row.generation ? '</b>, in use' : ''}, ${new Date(created * 1000).toISOString().slice(0, 16).replace('T', ' ')}, ${exit === 0 ? 'healthy' : exit === 1 ? 'failed' : 'not judged'}${changes.length ? `<ul>${changes.map((n) => `<li>${escape(T[n])}</li>`).join('')}</ul>` : ''}</li>`);
  const files = row.evidence.map((path) => {
    const source = escape(E[path] || path.split('/').map(encodeURIComponent).join('/')), name = escape(path.split('/').pop());
    return path.endsWith('.wav') ? `<p>${name}<br><audio controls preload="none" src="${source}" aria-label="${name}"></audio></p>` : `<p><img loading="lazy" src="${source}" alt="Spectrograms: ${name}"></p>`;
  });
  return `<section><h3>${escape(row.name)}: <span class="${row.verdict}">${VERDICTS[row.verdict]} ${row.verdict}</span></h3><dl><dt>generation</dt><dd>${escape(row.generation || 'nothing yet')}</dd><dt>stack</dt><dd>${escape(row.stack)}${row.why ? ` (${escape(row.why)})` : ''}${row.versions ? `: ${escape(row.versions)}` : ''}</dd><dt>variant</dt><dd>${escape(row.variant)}</dd></dl>
<div class="scroll" tabindex="0" role="region" aria-label="Checks of ${escape(row.name)}"><table><thead><tr><th scope="col">check</th><th scope="col">found</th><th scope="col" class="optional">seconds</th></tr></thead><tbody>${checks.map(([mark, n]) => {
    const [detail, remedy, seconds] = row.details[n] || [];
    return `<tr><th scope="row"><span class="${mark}">${MARKS[mark]}</span>&nbsp;${escape(D.checks[n][0]).replace(/[._]/g, '$&<wbr>')}</th><td class="wide">${detail === undefined ? escape(D.checks[n][1]) : escape(T[detail])}${T[remedy] ? `<br><span class="remedy">${escape(T[remedy])}</span>` : ''}</td><td class="optional">${seconds ?? ''}</td></tr>`;
  }).join('')}</tbody></table></div>${timeline.length ? `<h4>Generations</h4><ol class="timeline">${timeline.join('')}</ol>` : ''}${files.length ? `<h4>Evidence</h4>${files.join('')}` : ''}${list('Built from source', row.wheels)}${list('Other stacks', row.considered)}${list('Overrides', row.overrides)}</section>`;
}
function open(name) {
  const host = hosts.find((one) => one.name === name), dialog = byId('detail');
  if (!host) return;
  dialog.innerHTML = `<header><h2 id="detail-title">${escape(host.name)}</h2><button autofocus>Close</button></header><dl><dt>system</dt><dd>${escape(host.system)}</dd><dt>machine</dt><dd>${escape(host.machine)}</dd><dt>processor</dt><dd>${escape(host.processor)}</dd><dt>GPU</dt><dd>${escape(host.gpus || 'none')}</dd></dl>${list('Refused', host.refusals)}${list('Warnings', host.warnings)}${host.rows.map((row) => environment(host, row)).join('')}${D.whole ? '' : `<p class="dim">What passed is told in full in ${escape(host.name)}/report.json.</p>`}`;
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

const link = () => Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
function remember(changed) {
  const values = new URLSearchParams(Object.entries({...link(), ...changed}).filter(([, value]) => value));
  history.replaceState(null, '', `#${values}`);
}
function follow() {
  const {q = '', v = '', host = ''} = link();
  byId('query').value = q; byId('verdict').value = v;
  filter();
  if (host) open(host);
}
document.addEventListener('click', (event) => {
  const button = event.target.closest('button');
  if (!button) return;
  if (button.parentElement.parentElement === byId('detail')) return byId('detail').close();
  const name = button.dataset.host || (button.classList.contains('name') && button.textContent);
  if (name) { remember({host: name}); open(name); }
});
byId('detail').addEventListener('close', () => remember({host: ''}));
byId('search').addEventListener('submit', (event) => event.preventDefault());
for (const id of ['query', 'verdict']) byId(id).addEventListener('input', () => { remember({q: byId('query').value, v: byId('verdict').value}); filter(); });
document.addEventListener('keydown', (event) => {
  if (event.key === '/' && !['INPUT', 'SELECT'].includes(document.activeElement.tagName)) { event.preventDefault(); byId('query').focus(); }
});
addEventListener('hashchange', follow);
addEventListener('beforeprint', finish);
problems();
follow();
const later = () => {
  finish(); filter();
  tally('stacks', ['stack', 'environment', 'variant', 'versions'], hosts.flatMap((host) => host.rows.map((row) => [[row.stack, row.name, row.variant, row.versions], host.name])));
  plots();
  document.body.dataset.ready = 'yes';
};
requestAnimationFrame(() => setTimeout(later));
