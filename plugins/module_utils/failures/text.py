"""Make the output of tools comparable: without colours, boxes and prefixes, in English."""

from __future__ import annotations

import re
from collections.abc import Mapping

_TERMINAL = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00\x07\x0e\x0f]|.\x08")
# What pip, uv and rich draw, what docker, GitHub's runner and pytest write before each line, and the quotes of a mail.
_BEFORE = re.compile(
    r"^[ \t]*(?:(?:#\d+ )?\d+\.\d+ (?=\S)|\d{4}-\d\d-\d\dT[\d:.]+Z(?: |$)|E {3,}|> (?!=)|[\w.-]+ +\| |(?:[│┃║╎┆╰├╭└┌─▶>╴] ?)+|[×❯] )*"
)
_AFTER = re.compile(r"[ \t]*[│┃║][ \t]*$|[ \t]+$", re.MULTILINE)
# A message in a text of Markdown: code of several words behind other words, or in a table.
_CODE = re.compile(r"(?<![^\s(|*_])`(?=\S)[^`\n]*\s[^`\n]*\s[^`\n]*(?<=\S)`(?!\w)")
_TELLING = re.compile(r"[ \t]*(?:\|[^`]*|[^`]*\w[^`]*)`")
_QUOTES = str.maketrans(
    {
        "‘": "'",
        "’": "'",
        "`": "'",
        "´": "'",
        "‚": "'",
        "“": '"',
        "”": '"',
        "„": '"',
        "«": '"',
        "»": '"',
        "：": ": ",
        "\xa0": " ",
    }
)
# Longer phrases before those that they end with. What glibc, gcc, bash and Python's errno say in other languages (the message catalogues of glibc 2.36, gcc 12 and bash 5.2).
_ENGLISH = (
    ("schwerwiegender Fehler: ", "fatal error: "),
    ("Schwerwiegender Fehler: ", "fatal error: "),
    ("schwerer Fehler: ", "fatal error: "),
    ("erreur fatale: ", "fatal error: "),
    ("erreur fatale : ", "fatal error: "),
    ("error fatal: ", "fatal error: "),
    ("errore irreversibile: ", "fatal error: "),
    ("致命错误: ", "fatal error: "),
    ("致命的エラー: ", "fatal error: "),
    ("Fehler: ", "error: "),
    ("erreur: ", "error: "),
    ("erreur : ", "error: "),
    ("错误: ", "error: "),
    ("エラー: ", "error: "),
    ("Datei oder Verzeichnis nicht gefunden", "No such file or directory"),
    ("Aucun fichier ou dossier de ce type", "No such file or directory"),
    ("Aucun fichier ou dossier de ce nom", "No such file or directory"),
    ("No existe el archivo o el directorio", "No such file or directory"),
    ("No existe el fichero o el directorio", "No such file or directory"),
    ("File o directory non esistente", "No such file or directory"),
    ("Arquivo ou diretório inexistente", "No such file or directory"),
    ("Нет такого файла или каталога", "No such file or directory"),
    ("没有那个文件或目录", "No such file or directory"),
    ("そのようなファイルやディレクトリはありません", "No such file or directory"),
    ("Auf dem Gerät ist kein Speicherplatz mehr verfügbar", "No space left on device"),
    ("Aucun espace disponible sur le périphérique", "No space left on device"),
    ("No queda espacio en el dispositivo", "No space left on device"),
    ("Spazio esaurito sul device", "No space left on device"),
    ("设备上没有空间", "No space left on device"),
    ("デバイスに空き領域がありません", "No space left on device"),
    ("Nicht genügend Hauptspeicher verfügbar", "Cannot allocate memory"),
    ("Kann nicht genügend Speicher bereitstellen", "Cannot allocate memory"),
    ("Impossible d'allouer de la mémoire", "Cannot allocate memory"),
    ("无法分配内存", "Cannot allocate memory"),
    ("Kommando nicht gefunden", "command not found"),
    ("Befehl nicht gefunden", "command not found"),
    ("commande introuvable", "command not found"),
    ("orden no encontrada", "command not found"),
    ("未找到命令", "command not found"),
    ("Keine Berechtigung", "Permission denied"),
    ("Permission non accordée", "Permission denied"),
    ("Permiso denegado", "Permission denied"),
    ("权限不够", "Permission denied"),
    ("Verbindungsaufbau abgelehnt", "Connection refused"),
    ("Connexion refusée", "Connection refused"),
    ("Conexión rehusada", "Connection refused"),
    ("Kann die Shared-Object-Datei nicht öffnen", "cannot open shared object file"),
    ("Kann Shared-Object-Datei nicht öffnen", "cannot open shared object file"),
    ("ne peut ouvrir le fichier d'objet partagé", "cannot open shared object file"),
    ("ne peut ouvrir le fichier objet partagé", "cannot open shared object file"),
    ("no se puede abrir el fichero del objeto compartido", "cannot open shared object file"),
    ("no se puede abrir el archivo de objeto compartido", "cannot open shared object file"),
    ("无法打开共享对象文件", "cannot open shared object file"),
    ("undefinierter Verweis auf ", "undefined reference to "),
    ("nicht definierter Verweis auf ", "undefined reference to "),
    ("référence indéfinie vers ", "undefined reference to "),
)
EXPRESSIONS = {"terminal": _TERMINAL, "before": _BEFORE, "after": _AFTER, "code": _CODE, "telling": _TELLING}
QUOTES: Mapping[str, str] = {chr(code): str(meant) for code, meant in _QUOTES.items()}
ENGLISH = _ENGLISH
"""What a text is made comparable by, for whoever does the same elsewhere."""


def plain(text: str) -> str:
    """A text without what a terminal does not show: colours, cursor movements, lines that were drawn over."""
    return _TERMINAL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def comparable(text: str) -> str:
    """A plain text as tools would write it to a file in English: patterns are written for that. It has as many lines as before."""
    if "`" in text:
        text = "\n".join(_CODE.sub("`…`", line) if _TELLING.match(line) else line for line in text.split("\n"))
    text = text.translate(_QUOTES)
    for said, meant in _ENGLISH:
        text = text.replace(said, meant)
    return _AFTER.sub("", "\n".join(_BEFORE.sub("", line, count=1) for line in text.split("\n")))
