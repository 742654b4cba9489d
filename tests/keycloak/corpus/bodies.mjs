// Spellings of the body of a request: its content type, forms, multipart and JSON. Each dimension is a table of names and functions of a draft.

import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';

import { urlencoded } from '../lib/wire.mjs';
import { body, encoded, escapeAll, headed, pairs } from './draft.mjs';

const utf16 = (text) => Buffer.from(text, 'utf16le');
const utf16be = (text) => Buffer.from(text, 'utf16le').swap16();
const utf32 = (text, little) => Buffer.concat([...text].map((letter) => {
  const four = Buffer.from([0, 0, 0, 0]);
  if (little) four.writeUInt32LE(letter.codePointAt(0));
  else four.writeUInt32BE(letter.codePointAt(0));
  return four;
}));
/** IBM037 for what a form has. */
const ebcdic = (text) => Buffer.from([...text].map((letter) => {
  const code = letter.charCodeAt(0);
  const rows = [['a', 0x81, 9], ['j', 0x91, 9], ['s', 0xa2, 8], ['A', 0xc1, 9], ['J', 0xd1, 9], ['S', 0xe2, 8], ['0', 0xf0, 10]];
  const row = rows.find(([start, , count]) => code >= start.charCodeAt(0) && code < start.charCodeAt(0) + count);
  return row ? row[1] + code - row[0].charCodeAt(0) : ({ '=': 0x7e, '&': 0x50, '%': 0x6c, '-': 0x60, _: 0x6d, '.': 0x4b, '+': 0x4e, '{': 0xc0, '}': 0xd0, '"': 0x7f, ':': 0x7a, ',': 0x6b }[letter] ?? 0x6f);
}));

const form = (change) => (draft) => draft.form && change(draft);
const json = (change) => (draft) => (draft.json === undefined ? undefined : change(draft));
const keyed = (change) => form((draft) => draft.key && change(draft, draft.form.find(([name]) => name === draft.key)?.[1] ?? ''));
const decoy = (draft) => [draft.key, draft.decoy];

const typed = (type) => (draft) => (body(draft).length ? { ...draft, type } : undefined);
const mediaType = (draft) => (draft.form ? urlencoded : 'application/json');
const charset = (name, convert) => (draft) => (body(draft).length ? { ...draft, type: `${mediaType(draft)}; charset=${name}`, body: convert ? convert(body(draft)) : body(draft) } : undefined);
const coded = (name, compress) => (draft) => body(draft).length && { ...headed(draft, ['Content-Encoding', name]), type: mediaType(draft), body: compress ? compress(body(draft)) : body(draft) };

const types = {
  'no content type': typed(null),
  'text/plain': typed('text/plain'),
  'a stream of bytes': typed('application/octet-stream'),
  'XML': typed('application/xml'),
  'JSON for a form, a form for JSON': (draft) => typed(draft.form ? 'application/json' : urlencoded)(draft),
  'any type': typed('*/*'),
  'a content type in capitals': (draft) => typed(mediaType(draft).toUpperCase())(draft),
  'charset=utf-8': charset('utf-8'),
  'charset=UTF-8 in quotes': charset('"UTF-8"'),
  'charset=utf-16': charset('utf-16', utf16be),
  'charset=utf-16le': charset('utf-16le', utf16),
  'charset=utf-16 on plain bytes': charset('utf-16'),
  'charset=utf-7': charset('utf-7'),
  'charset=IBM037': charset('IBM037', ebcdic),
  'charset=IBM037 on plain bytes': charset('IBM037'),
  'charset=iso-8859-1': charset('iso-8859-1'),
  'two charsets': charset('utf-8; charset=utf-16'),
  'two content types, the right one first': (draft) => typed([mediaType(draft), 'text/plain'])(draft),
  'two content types, the right one last': (draft) => typed(['text/plain', mediaType(draft)])(draft),
  'two content types in one': (draft) => typed(`${mediaType(draft)}, text/plain`)(draft),
  'an odd parameter': (draft) => typed(`${mediaType(draft)}; boundary=xyz`)(draft),
  'an empty parameter': (draft) => typed(`${mediaType(draft)};`)(draft),
  'a space in the content type': (draft) => typed(`${mediaType(draft).replace('/', '/ ')}`)(draft),
  'Content-Encoding: gzip on a plain body': coded('gzip'),
  'Content-Encoding: identity': coded('identity'),
  'a gzip body': coded('gzip', gzipSync),
  'a deflate body': coded('deflate', deflateSync),
  'a Brotli body': coded('br', brotliCompressSync),
};

const bytes = (change) => form((draft) => ({ ...draft, body: change(encoded(draft.form), draft) }));
const renamed = (change) => keyed((draft) => ({ ...draft, form: draft.form.map(([name, value]) => [name === draft.key ? change(name) : name, value]) }));
const spelled = (change) => bytes((text, draft) => text.replace(new RegExp(`(^|&)${draft.key}=`), (_, start) => `${start}${change(draft.key)}=`));
const valued = (change) => keyed((draft, value) => ({ ...draft, body: encoded(draft.form).replace(`${encodeURIComponent(draft.key)}=${encodeURIComponent(value)}`, `${encodeURIComponent(draft.key)}=${change(value)}`) }));

const forms = {
  'all names encoded': form((draft) => ({ ...draft, body: draft.form.map(([name, value]) => `${escapeAll(name)}=${encodeURIComponent(value)}`).join('&') })),
  'the deciding name encoded': spelled(escapeAll),
  'one letter of the deciding name encoded': spelled((name) => `%${name.charCodeAt(0).toString(16)}${name.slice(1)}`),
  'all values encoded': form((draft) => ({ ...draft, body: draft.form.map(([name, value]) => `${name}=${escapeAll(value)}`).join('&') })),
  'the other order': form((draft) => ({ ...draft, form: draft.form.toReversed() })),
  'twice, the decoy first': keyed((draft) => ({ ...draft, form: [decoy(draft), ...draft.form] })),
  'twice, the decoy last': keyed((draft) => ({ ...draft, form: [...draft.form, decoy(draft)] })),
  'twice, the decoy by an encoded name': keyed((draft) => ({ ...draft, body: `${escapeAll(draft.key)}=${encodeURIComponent(draft.decoy)}&${encoded(draft.form)}` })),
  'twice the same': keyed((draft, value) => ({ ...draft, form: [...draft.form, [draft.key, value]] })),
  'in the query alone': keyed((draft, value) => ({ ...draft, query: [...(draft.query ?? []), [draft.key, value]], form: draft.form.filter(([name]) => name !== draft.key) })),
  'everything in the query': form((draft) => ({ ...draft, query: [...(draft.query ?? []), ...draft.form], form: [] })),
  'brackets behind the name': renamed((name) => `${name}[]`),
  'an index behind the name': renamed((name) => `${name}[0]`),
  'the name in capitals': renamed((name) => name.toUpperCase()),
  'a space before the name': spelled((name) => `+${name}`),
  'a space behind the name': spelled((name) => `${name}+`),
  'a NUL behind the name': spelled((name) => `${name}%00`),
  'an overlong letter in the name': spelled((name) => `%c1%${(name.charCodeAt(0) | 0x80).toString(16)}${name.slice(1)}`),
  'a full-width letter in the name': spelled((name) => `%EF%BD%${(name.charCodeAt(0) + 0x20).toString(16)}${name.slice(1)}`),
  'semicolons between the fields': bytes((text) => text.replaceAll('&', ';')),
  'an escaped ampersand': bytes((text) => text.replaceAll('&', '&amp;')),
  'a byte-order mark': bytes((text) => `\ufeff${text}`),
  'an empty line in front': bytes((text) => `\r\n${text}`),
  'a line end behind': bytes((text) => `${text}\r\n`),
  'empty fields': bytes((text) => `&&=&${text}&`),
  'a second question mark': bytes((text) => `?${text}`),
  'a space behind the value': valued((value) => `${encodeURIComponent(value)}+`),
  'a NUL behind the value': valued((value) => `${encodeURIComponent(value)}%00`),
  'a line end in the value': valued((value) => `${encodeURIComponent(value)}%0d%0a`),
  'the value in capitals': valued((value) => encodeURIComponent(value.toUpperCase())),
  'a byte in the value that is no UTF-8': valued((value) => `%ff${encodeURIComponent(value)}`),
  'a broken escape': bytes((text) => `${text}&x=%zz`),
  'very many fields': bytes((text) => `${text}${'&a=b'.repeat(3000)}`),
  'a large field in front': bytes((text) => `pad=${'x'.repeat(900_000)}&${text}`),
  'too large a field in front': bytes((text) => `pad=${'x'.repeat(1_500_000)}&${text}`),
  'JSON in the place of the form': form((draft) => ({ ...draft, type: 'application/json', body: JSON.stringify(Object.fromEntries(draft.form)) })),
};

const disposition = (name) => `Content-Disposition: form-data; name="${name}"`;
const joined = (list, headOf = ([name]) => disposition(name), boundary = 'xyz') => `${list.map((field) => `--${boundary}\r\n${headOf(field)}\r\n\r\n${field[1]}\r\n`).join('')}--${boundary}--\r\n`;
const multipart = (make, type = 'multipart/form-data; boundary=xyz') => form((draft) => ({ ...draft, type, body: make(draft.form, draft) }));
const parted = (headOf) => multipart((fields) => joined(fields, headOf));
const text = (change) => multipart((fields, draft) => change(joined(fields), draft));

const multiparts = {
  'multipart': multipart((fields) => joined(fields)),
  'a quoted boundary': multipart((fields) => joined(fields), 'multipart/form-data; boundary="xyz"'),
  'a boundary with odd letters': multipart((fields) => joined(fields, undefined, "a'b(c)+d_e,f-g.h/i:j=k?l"), 'multipart/form-data; boundary="a\'b(c)+d_e,f-g.h/i:j=k?l"'),
  'a long boundary': multipart((fields) => joined(fields, undefined, 'x'.repeat(200)), `multipart/form-data; boundary=${'x'.repeat(200)}`),
  'two boundaries': multipart((fields) => joined(fields), 'multipart/form-data; boundary=abc; boundary=xyz'),
  'two boundaries, the right one first': multipart((fields) => joined(fields), 'multipart/form-data; boundary=xyz; boundary=abc'),
  'no boundary': multipart((fields) => joined(fields), 'multipart/form-data'),
  'multipart in capitals': multipart((fields) => joined(fields), 'MULTIPART/FORM-DATA; BOUNDARY=xyz'),
  'multipart with a charset': multipart((fields) => joined(fields), 'multipart/form-data; charset=utf-16; boundary=xyz'),
  'multipart/mixed': multipart((fields) => joined(fields), 'multipart/mixed; boundary=xyz'),
  'multipart/related': multipart((fields) => joined(fields), 'multipart/related; boundary=xyz'),
  'file names': parted(([name]) => `${disposition(name)}; filename="a.txt"`),
  'extended file names': parted(([name]) => `${disposition(name)}; filename*=utf-8''a.txt`),
  'unquoted names': parted(([name]) => `Content-Disposition: form-data; name=${name}`),
  'names in single quotes': parted(([name]) => `Content-Disposition: form-data; name='${name}'`),
  'extended names': parted(([name]) => `Content-Disposition: form-data; name*=utf-8''${name}`),
  'encoded names': parted(([name]) => disposition(escapeAll(name))),
  'names with a backslash': parted(([name]) => disposition(`\\${name}`)),
  'two names': parted(([name]) => `Content-Disposition: form-data; name="x${name}"; name="${name}"`),
  'two names, the right one first': parted(([name]) => `Content-Disposition: form-data; name="${name}"; name="x${name}"`),
  'part headers in small letters': parted(([name]) => disposition(name).toLowerCase()),
  'part headers in capitals': parted(([name]) => `CONTENT-DISPOSITION: FORM-DATA; NAME="${name}"`),
  'a folded part header': parted(([name]) => `Content-Disposition: form-data;\r\n name="${name}"`),
  'a space before the colon of a part': parted(([name]) => `Content-Disposition : form-data; name="${name}"`),
  'two dispositions': parted(([name]) => `${disposition(`x${name}`)}\r\n${disposition(name)}`),
  'two dispositions, the right one first': parted(([name]) => `${disposition(name)}\r\n${disposition(`x${name}`)}`),
  'an attachment': parted(([name]) => `Content-Disposition: attachment; name="${name}"`),
  'parts in UTF-16': parted(([name]) => `${disposition(name)}\r\nContent-Type: text/plain; charset=utf-16`),
  'parts of JSON': parted(([name]) => `${disposition(name)}\r\nContent-Type: application/json`),
  'parts in base64': multipart((fields) => joined(fields.map(([name, value]) => [name, Buffer.from(value).toString('base64')]), ([name]) => `${disposition(name)}\r\nContent-Transfer-Encoding: base64`)),
  'multipart twice, the decoy first': multipart((fields, draft) => joined([decoy(draft), ...fields])),
  'multipart twice, the decoy last': multipart((fields, draft) => joined([...fields, decoy(draft)])),
  'multipart twice, the decoy a file': multipart((fields, draft) => joined([decoy(draft), ...fields], (field) => (field[1] === draft.decoy ? `${disposition(field[0])}; filename="a"` : disposition(field[0])))),
  'the decoy in the preamble': text((whole, draft) => `${draft.key}=${draft.decoy}\r\n${whole}`),
  'the decoy in the epilogue': text((whole, draft) => `${whole}--xyz\r\n${disposition(draft.key)}\r\n\r\n${draft.decoy}\r\n--xyz--\r\n`),
  'bare line feeds': text((whole) => whole.replaceAll('\r\n', '\n')),
  'no end': text((whole) => whole.replace('--xyz--\r\n', '')),
  'no last line end': text((whole) => whole.trimEnd()),
  'spaces behind the boundary': text((whole) => whole.replaceAll('--xyz\r\n', '--xyz  \r\n')),
  'a charset field': multipart((fields) => joined([['_charset_', 'utf-16'], ...fields])),
};

const documented = (change) => json((draft) => ({ ...draft, type: 'application/json', body: change(JSON.stringify(draft.json), draft) }));
const member = (change) => documented((document, draft) => draft.key && document.replace(`"${draft.key}":`, (found) => change(found, draft)));
const first = (draft) => `\\u00${draft.key.charCodeAt(0).toString(16)}${draft.key.slice(1)}`;

const documents = {
  'the key twice, the decoy first': member((found, draft) => `${found}${JSON.stringify(draft.decoy)},${found}`),
  'the key twice, the decoy last': documented((document, draft) => draft.key && document.replace(/}$/, `,"${draft.key}":${JSON.stringify(draft.decoy)}}`)),
  'an escaped key': member((_, draft) => `"${first(draft)}":`),
  'an escaped key behind the decoy': member((found, draft) => `${found}${JSON.stringify(draft.decoy)},"${first(draft)}":`),
  'the key in capitals': member((found) => found.toUpperCase()),
  'the key with a space': member((found) => found.replace('":', ' ":')),
  'a second document': documented((document, draft) => `${document}{"${draft.key}":"x"}`),
  'a second document on a line': documented((document) => `${document}\n${document}`),
  'garbage behind': documented((document) => `${document} nonsense`),
  'a NUL behind': documented((document) => `${document}\0`),
  'a byte-order mark': documented((document) => `\ufeff${document}`),
  'UTF-16': documented(utf16),
  'UTF-16, big end first': documented(utf16be),
  'UTF-16 with its mark': documented((document) => utf16(`\ufeff${document}`)),
  'UTF-32': documented((document) => utf32(document)),
  'UTF-32, little end first': documented((document) => utf32(document, true)),
  'UTF-16 without a content type': json((draft) => ({ ...draft, type: null, body: utf16be(JSON.stringify(draft.json)) })),
  'a merge patch': json((draft) => ({ ...draft, type: 'application/merge-patch+json' })),
  'text/json': json((draft) => ({ ...draft, type: 'text/json' })),
  'a vendor\'s JSON': json((draft) => ({ ...draft, type: 'application/vnd.x+json' })),
  'JSON with a parameter': json((draft) => ({ ...draft, type: 'application/json;odata=verbose' })),
  'a comment in front': documented((document) => `/* */${document}`),
  'a comment inside': documented((document) => document.replace('{', '{// x\n')),
  'single quotes': documented((document) => document.replaceAll('"', "'")),
  'unquoted keys': documented((document) => document.replace(/"(\w+)":/g, '$1:')),
  'a trailing comma': documented((document) => document.replace(/}$/, ',}')),
  'white space in front': documented((document) => ` \r\n\t${document}`),
  'deeply nested': documented((document) => document.replace('{', `{"x":${'['.repeat(3000)}${']'.repeat(3000)},`)),
  'nested a little': documented((document) => document.replace('{', `{"attributes":${'{"a":'.repeat(40)}1${'}'.repeat(40)},`)),
  'a number as the value': json((draft) => draft.key && typeof draft.json === 'object' && { ...draft, json: { ...draft.json, [draft.key]: 1e3 } }),
  'no value': json((draft) => draft.key && typeof draft.json === 'object' && { ...draft, json: { ...draft.json, [draft.key]: null } }),
  'an array': documented((document) => `[${document}]`),
  'NaN': documented((document) => document.replace('{', '{"x":NaN,')),
  'half of a surrogate pair': documented((document) => document.replace('{', '{"x":"\\ud800",')),
  'a control character in a text': documented((document) => document.replace('{', '{"x":"\u0001",')),
  'a byte that is no UTF-8': documented((document) => Buffer.concat([Buffer.from(document.slice(0, -1)), Buffer.from(',"x":"'), Buffer.from([0xff]), Buffer.from('"}')])),
  'a large member': documented((document) => document.replace('{', `{"x":"${'x'.repeat(900_000)}",`)),
  'a form in the place of JSON': json((draft) => typeof draft.json === 'object' && !Array.isArray(draft.json) && { ...draft, type: urlencoded, body: encoded(Object.entries(draft.json).map(([name, value]) => [name, String(value)])) }),
};

const made = (dimension, table) => pairs(table).map(([name, spell]) => ({ dimension, name, spell }));

/** All spellings of the body. */
export const bodySpellings = [...made('content type', types), ...made('form', forms), ...made('multipart', multiparts), ...made('JSON', documents)];
