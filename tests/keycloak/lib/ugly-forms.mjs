// Bodies that parsers of forms read differently, at random but by a seed: the same number gives the same body everywhere.

import { urlencoded } from './wire.mjs';

/** Small and good enough for this: mulberry32. */
function generator(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  const below = (limit) => Math.floor(next() * limit);
  return { below, pick: (list) => list[below(list.length)], chance: (share) => next() < share };
}

const bytes = (text) => Buffer.from(text, 'utf8');
const raw = (text) => Buffer.from(text, 'latin1');
const hex = (byte, random) => {
  const digits = byte.toString(16).padStart(2, '0');
  return `%${random.chance(0.5) ? digits : digits.toUpperCase()}`;
};

/** What people have in their names, and what nobody has. */
const pieces = ['a', 'Ada', 'x1', ' ', '  ', '.', '-', '@', "'", '"', '<b>', '&', '=', '+', '%', ';', '/', '\\', '\u00e9', '\u00df', 'e\u0301', '\uff20', '\u{1f600}', '\u4e2d', '\u200b', '%41', '&amp;', '&#64;', '+x', '--xyz', '{}', '\u2028'];
const odd = ['\r\n', '\n', '\t', '\ufeff', '\u0001', '\u0000', '\r\n--xyz', '\r\n--xyz\r\n', '\u0085', '\u007f'];

/** Beyond ASCII more often than not: that is what charsets differ about. */
const value = (random, ugly) => {
  const length = 1 + random.below(3);
  const text = Array.from({ length }, () => random.pick(ugly && random.chance(0.15) ? odd : pieces)).join('');
  return random.chance(0.5) ? `${text}\u00e9` : text;
};

/** The fields of a registration; the passwords differ, so that the form comes back with what was read. */
function fields(random, number) {
  const ugly = random.chance(0.2);
  const list = [
    ['username', `u${number}${value(random, ugly)}`],
    ['email', `${random.chance(0.5) ? 'e' : value(random, ugly)}${number}@new.example`],
    ['firstName', value(random, ugly)],
    ['lastName', value(random, ugly)],
    ['password', 'one'],
    ['password-confirm', 'another'],
  ];
  for (let left = random.below(3); left > 0; left -= 1) list.push([`more${left}`, value(random, false)]);
  if (random.chance(0.15)) list.splice(random.below(4), 1);
  if (random.chance(0.3)) list.push(list.splice(random.below(list.length), 1)[0]);
  if (random.chance(0.06)) list.push([random.pick(['email', 'username', 'firstName', 'lastName', 'more1']), value(random, ugly)]);
  if (random.chance(0.05)) list.push([random.pick(['Email', 'email ', 'email[]', 'email.', '_charset_', 'user.attributes.email', 'em\u0430il']), value(random, false)]);
  return list;
}

// --- application/x-www-form-urlencoded

/** Text as percent escapes, some more of them than needed, some fewer. */
function escaped(random, text, lax) {
  const parts = [...bytes(text)].map((byte) => {
    const plain = String.fromCharCode(byte);
    if (/[A-Za-z0-9._-]/.test(plain)) return random.chance(0.1) ? hex(byte, random) : plain;
    if (plain === ' ') return random.pick(lax ? ['+', '%20', ' '] : ['+', '%20']);
    return lax && random.chance(0.4) ? plain : hex(byte, random);
  });
  return parts.join('');
}

/** Replaces one match of many. */
const once = (text, pattern, random, replacement) => {
  const chosen = random.below([...text.matchAll(pattern)].length);
  let seen = -1;
  return text.replace(pattern, (match) => ((seen += 1) === chosen ? replacement : match));
};

const breaks = [
  (body, random) => once(body, /=/g, random, random.pick(['==', '=%', '=%f', '=%zz', '=%u0041', '=%c0%af', '=%ff', '=%ed%a0%80', '=%f4%90%80%80', '=%E9', '=\xe9', '=\xc3\xa9', '=+', '=%2B', '%3D', ''])),
  (body, random) => body.replace(/&/g, () => (random.chance(0.3) ? random.pick([';', '&&', '&amp;', '&;', '\r\n', '& ', '&=&', '&\0']) : '&')),
  (body, random) => random.pick(['&', '?', '\r\n', ' ', '=', '\xef\xbb\xbf', '#', '"']) + body,
  (body, random) => body + random.pick(['&', '\r\n', ' ', '\0', '&=', '=', ';', '&x', '%', '#y']),
  (body) => body.replace('email', '%65mail'),
  (body, random) => once(body, /&/g, random, random.pick([';', '&&', '&amp;', '\r\n', '\n', '& ', ' &', '&=&', '&x&', '&\t'])),
  (body) => body.replace('email=', 'email%00='),
  (body) => `${body}&${body}`,
];

const types = [urlencoded, `${urlencoded}; charset=UTF-8`, `${urlencoded};charset=utf-8`];
const oddTypes = [
  `${urlencoded}; charset="utf-8"`, `${urlencoded}; charset=utf8`, `${urlencoded}; charset=iso-8859-1`, `${urlencoded}; charset=windows-1252`, `${urlencoded}; charset=utf-16`,
  `${urlencoded}; charset=IBM037`, `${urlencoded}; charset=utf-7`, `${urlencoded};`, `${urlencoded}; boundary=xyz`, `${urlencoded}; charset=utf-8; charset=iso-8859-1`,
  `${urlencoded} ; Charset=UTF-8`, urlencoded.toUpperCase(), `${urlencoded}, text/plain`, 'text/plain', 'multipart/form-data', `${urlencoded}; charset=nonsense`, `${urlencoded}; charset=`, `${urlencoded}; charset='iso-8859-1'`,
];

function asUrlencoded(random, list) {
  const lax = random.chance(0.2);
  let body = list.map(([name, text]) => `${escaped(random, name, false)}=${escaped(random, text, lax)}`).join('&');
  for (let left = random.chance(0.25) ? 1 + random.below(2) : 0; left > 0; left -= 1) body = random.pick(breaks)(body, random);
  return { kind: 'urlencoded', type: random.pick(random.chance(0.15) ? oddTypes : types), body: raw(body) };
}

// --- multipart/form-data

const disposition = (name) => `Content-Disposition: form-data; name="${name}"`;

const dispositions = [
  (name) => `Content-Disposition: form-data; name=${name}`,
  (name) => `Content-Disposition: form-data; name='${name}'`,
  (name) => `Content-Disposition: form-data; name="${name}"; filename="f.txt"`,
  (name) => `Content-Disposition: form-data; name="${name}"; filename=""`,
  (name) => `Content-Disposition: form-data; filename="f.txt"; name="${name}"`,
  (name) => `Content-Disposition: form-data; name="${name}"; name="other"`,
  (name) => `Content-Disposition: form-data; name="other"; name="${name}"`,
  (name) => `Content-Disposition: form-data; name*=utf-8''${name}`,
  (name) => `Content-Disposition: form-data; name="other"; name*=utf-8''${name}`,
  (name) => `Content-Disposition: form-data; name="${name.replace('a', '%61')}"`,
  (name) => `Content-Disposition: form-data; name="${name.replace('a', '\\a')}"`,
  (name) => `Content-Disposition: form-data; name="=?utf-8?q?${name}?="`,
  (name) => `content-disposition: FORM-DATA; NAME="${name}"`,
  (name) => `Content-Disposition:form-data;name="${name}"`,
  (name) => `Content-Disposition : form-data; name="${name}"`,
  (name) => `Content-Disposition: form-data;\r\n name="${name}"`,
  (name) => `Content-Disposition: attachment; name="${name}"`,
  (name) => `Content-Disposition: form-data; name="${name}";`,
  (name) => `Content-Disposition: form-data; name="${name}" `,
  (name) => `Content-Disposition: form-data; name=" ${name}"`,
  (name) => `Content-Disposition: form-data; name="${name}\\"`,
  (name) => `Content-Disposition: form-data; x="; name=other; y="; name="${name}"`,
  (name) => `Content-Disposition: form-data; name="other"\r\nContent-Disposition: form-data; name="${name}"`,
  (name) => `Content-Disposition: form-data; name="${name}"\r\nContent-Disposition: form-data; name="other"`,
  (name) => `X-Header: 1\r\nContent-Disposition: form-data; name="${name}"`,
  () => 'X-Header: 1',
];

const partTypes = ['text/plain', 'text/plain; charset=utf-8', 'text/plain;charset=UTF-8', 'Text/Plain; Charset="UTF-8"', 'text/plain; charset=iso-8859-1', 'text/plain; charset=utf-16', 'text/plain; charset=us-ascii', 'application/json', 'application/octet-stream', 'text/html', 'multipart/mixed; boundary=inner', 'text/plain; charset=nonsense'];
const transferEncodings = ['8bit', 'binary', 'base64', 'quoted-printable', '7bit'];

const boundaries = ['----WebKitFormBoundary7MA4YWxkTrZu0gW', "a'()+_,-./:=?b", 'x y', 'b'.repeat(70), 'b'.repeat(71), '-', '--xyz', 'xyz-', '\u00e9'];
const boundaryTypes = [
  (boundary) => `multipart/form-data; boundary=${boundary}`,
  (boundary) => `multipart/form-data; boundary="${boundary}"`,
  (boundary) => `Multipart/Form-Data; Boundary=${boundary}`,
  (boundary) => `multipart/form-data; charset=utf-8; boundary=${boundary}`,
];
const oddBoundaryTypes = [
  (boundary) => `multipart/form-data; boundary=${boundary}; charset=utf-8`,
  (boundary) => `multipart/form-data; boundary=${boundary}; charset=iso-8859-1`,
  (boundary) => `multipart/form-data; boundary=${boundary};`,
  (boundary) => `multipart/form-data; boundary=${boundary} `,
  (boundary) => `multipart/form-data; boundary= ${boundary}`,
  (boundary) => `multipart/form-data; boundary=${boundary}, x`,
  (boundary) => `multipart/form-data; boundary=other; boundary=${boundary}`,
  (boundary) => `multipart/form-data; boundary=${boundary}; boundary=other`,
  (boundary) => `multipart/form-data; boundary='${boundary}'`,
  (boundary) => `multipart/form-data; boundary="${boundary}`,
  (boundary) => `multipart/form-data; boundary*=utf-8''${boundary}`,
  (boundary) => `multipart/form-data; x="; boundary=other"; boundary=${boundary}`,
  (boundary) => `multipart/form-data; boundary="\\${boundary}"`,
  (boundary) => `multipart/mixed; boundary=${boundary}`,
  (boundary) => `multipart/form-data;boundary=${boundary}`,
  () => 'multipart/form-data',
  () => 'multipart/form-data; boundary=',
];

/** What one part can have that no browser writes: its head's lines and its bytes. */
const crooked = [
  (random, name, text) => [[random.pick(dispositions)(name)], bytes(text)],
  (random, name, text) => [[disposition(name), `Content-Type: ${random.pick(partTypes)}`], bytes(text)],
  (random, name, text) => [[`Content-Type: ${random.pick(partTypes)}`, disposition(name)], raw(text)],
  (random, name, text) => [[disposition(name), `Content-Transfer-Encoding: ${random.pick(transferEncodings)}`], bytes(text)],
  (random, name, text) => [[disposition(name), 'Content-Transfer-Encoding: base64'], bytes(bytes(text).toString('base64'))],
  (random, name, text) => [[disposition(name), 'Content-Transfer-Encoding: quoted-printable'], bytes(text.replaceAll('\u00e9', '=C3=A9'))],
  (random, name, text) => [[disposition(name), 'Content-Length: 3'], bytes(text)],
  (random, name, text) => [[disposition(name)], raw(text)],
  (random, name, text) => [[disposition(name)], Buffer.from(text, 'utf16le')],
  (random, name, text) => [[disposition(name)], bytes(`${text}${random.pick(['\r\n', '\r\n--', '\r\n--xy', '\n--xyz', '\r--xyz', '--xyz', '\r\n\r\n', ' '])}`)],
];

function part(random, name, text, isCrooked) {
  const plain = random.chance(0.15) ? [disposition(name), `Content-Type: ${random.pick(partTypes.slice(0, 3))}`] : [disposition(name)];
  const [head, content] = isCrooked ? random.pick(crooked)(random, name, text) : [plain, bytes(text)];
  return Buffer.concat([bytes(`${head.join('\r\n')}\r\n\r\n`), content]);
}

const edits = [
  (body) => Buffer.concat([bytes('preamble\r\n'), body]),
  (body) => Buffer.concat([bytes('\r\n'), body]),
  (body) => Buffer.concat([body, bytes('epilogue')]),
  (body, boundary) => Buffer.concat([body, bytes(`--${boundary}\r\nContent-Disposition: form-data; name="email"\r\n\r\nlate@new.example\r\n--${boundary}--\r\n`)]),
  (body, boundary) => body.subarray(0, body.lastIndexOf(`--${boundary}--`)),
  (body) => raw(body.toString('latin1').replaceAll('\r\n', '\n')),
  (body) => raw(body.toString('latin1').replace('\r\n\r\n', '\n\n')),
  (body) => raw(body.toString('latin1').replace('\r\n', '\r')),
  (body, boundary) => raw(body.toString('latin1').replace(`--${boundary}\r\n`, `--${boundary} \t\r\n`)),
  (body, boundary) => raw(body.toString('latin1').replace(`\r\n--${boundary}\r\n`, `\r\n--${boundary}x\r\n`)),
  (body, boundary) => raw(body.toString('latin1').replace(`\r\n--${boundary}\r\n`, `\r\n--${boundary}--\r\n`)),
  (body, boundary) => raw(body.toString('latin1').replace(`\r\n--${boundary}\r\n`, `\n--${boundary}\n`)),
  (body, boundary) => raw(body.toString('latin1').replace(`\r\n--${boundary}\r\n`, `--${boundary}\r\n`)),
  (body, boundary) => raw(body.toString('latin1').replace(`--${boundary}--\r\n`, `--${boundary}--`)),
  (body, boundary) => raw(body.toString('latin1').replace(`--${boundary}--`, `--${boundary}--x`)),
  (body) => raw(body.toString('latin1').replace('\r\n\r\n', '\r\n')),
  (body) => Buffer.concat([bytes('\ufeff'), body]),
  (body) => body.subarray(0, Math.floor(body.length * 0.7)),
];

function asMultipart(random, list) {
  const boundary = random.chance(0.8) ? 'xyz' : random.pick(boundaries);
  const delimiter = bytes(`--${boundary}\r\n`);
  // One part at most: a body with many oddities is refused for the first of them, and the others are never tried.
  const chosen = random.chance(0.6) ? random.below(4) : -1;
  const parts = list.flatMap(([name, text], index) => [delimiter, part(random, name, text, index === chosen), bytes('\r\n')]);
  let body = Buffer.concat([...parts, bytes(`--${boundary}--\r\n`)]);
  if (chosen < 0 && random.chance(0.5)) body = random.pick(edits)(body, boundary);
  const type = random.pick(random.chance(0.1) ? oddBoundaryTypes : boundaryTypes)(boundary);
  return { kind: 'multipart', type: bytes(type).toString('latin1'), body };
}

const queries = ['&email=other@new.example', '&%65mail=other@new.example', '&firstName=', '&more1=x', '&x', '&&', '&=', '&a=%zz'];

/** The request of this number: `{ kind, type, body, query }`, the query to be put behind the one that the form has. */
export function uglyForm(number) {
  const random = generator(number);
  const list = fields(random, number);
  const query = random.chance(0.05) ? random.pick(queries) : '';
  return { ...(random.chance(0.5) ? asUrlencoded(random, list) : asMultipart(random, list)), query };
}
