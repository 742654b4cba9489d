// Every password, secret, code, cookie and token that a suite handles, to be looked for afterwards in all that Tollgate wrote.

import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const shortest = 12;

/** Parameters of queries, forms and JSON that are secrets wherever they stand, on their way to the upstream and back. */
const secrets = new Set([
  ...['password', 'password-new', 'password-confirm', 'totp', 'client_secret', 'client_assertion', 'assertion', 'code', 'code_verifier', 'device_code', 'auth_req_id'],
  ...['access_token', 'refresh_token', 'id_token', 'id_token_hint', 'subject_token', 'actor_token', 'token', 'logout_token', 'registration_access_token', 'rpt', 'ticket'],
  ...['request', 'response', 'session_code', 'key', 'SAMLRequest', 'SAMLResponse', 'RelayState', 'pre-authorized_code', 'secret', 'login_hint_token'],
]);

/** What nobody could write without knowing it: long, and with a digit in it. */
const isRandom = (value) => value.length >= 16 && /\d/.test(value);

export class Canaries {
  #kinds = new Map();

  /** Remembers a secret; of a token also its payload-and-signature tail, which would betray it without its header. */
  add(kind, value) {
    if (typeof value !== 'string' || value.length < shortest) return value;
    this.#kinds.set(value, kind);
    const parts = value.split('.');
    if (parts.length === 3 && parts[2].length > 40) this.#kinds.set(parts[2], `${kind} signature`);
    return value;
  }

  /** Remembers every secret of what passed between Tollgate and the upstream. */
  gather(exchanges) {
    const keep = (kind, value) => isRandom(value) && this.add(kind, value);
    const pairs = (text) => {
      for (const [name, value] of new URLSearchParams(text)) if (secrets.has(name)) keep(name, value);
    };
    for (const { target = '', headers = {}, body = '', location = '', answer = '' } of exchanges) {
      for (const url of [target, location]) pairs(url.slice(url.search(/[?#]/) + 1).replaceAll('#', '&'));
      if (!/^\s*[[{<-]/.test(body)) pairs(body);
      for (const text of [body, answer]) {
        for (const [, name, value] of text.matchAll(/"([\w-]+)"\s*:\s*"([^"\\]{16,})"/g)) if (secrets.has(name)) keep(name, value);
        for (const [, name, value] of text.matchAll(/name="([\w-]+)"\r\n(?:[^\r\n]+\r\n)*\r\n([^\r\n]{16,})\r\n--/g)) if (secrets.has(name)) keep(`${name} (multipart)`, value);
      }
      // A credential in the admin API, whichever of its members comes first.
      for (const [, value] of body.matchAll(/"type"\s*:\s*"password"[^{}]*?"value"\s*:\s*"([^"\\]+)"/g)) keep('credential', value);
      for (const [, value] of body.matchAll(/"value"\s*:\s*"([^"\\]+)"[^{}]*?"type"\s*:\s*"password"/g)) keep('credential', value);
      const [scheme, presented = ''] = (headers.authorization ?? '').split(' ');
      if (presented) keep(`${scheme.toLowerCase()} credentials`, presented);
      if (headers.dpop) keep('DPoP proof', headers.dpop);
      for (const pair of (headers.cookie ?? '').split('; ')) keep('cookie', pair.slice(pair.indexOf('=') + 1).replace(/^"|"$/g, ''));
    }
  }

  /** Remembers the lines of keys and secrets in files below a folder. */
  gatherFiles(folder) {
    for (const file of filesBelow(folder).filter((name) => /\.(key|token|pem|secret)$/.test(name))) {
      const text = readFileSync(file, 'utf8');
      if (text.includes('CERTIFICATE') || text.includes('PUBLIC KEY')) continue;
      const kind = text.includes('PRIVATE KEY') ? 'private key' : `file ${basename(file)}`;
      // The first line and the last of a PEM are the same in many keys, or nearly.
      const lines = text.trim().split('\n').filter((line) => !line.startsWith('-----'));
      for (const line of lines.length > 2 ? lines.slice(1, -1) : lines) this.add(kind, line.trim());
    }
  }

  entries() {
    return [...this.#kinds].map(([value, kind]) => ({ kind, value }));
  }

  /** Leaves them in a suite's folder for the search after the last suite. */
  leave(folder) {
    mkdirSync(join(folder, 'known'), { recursive: true });
    writeFileSync(join(folder, 'known', 'canaries.json'), JSON.stringify(this.entries()));
  }
}

const inHtml = (text) => text.replace(/[&<>"']/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' })[c]);

/** All files below a folder. */
export function filesBelow(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

/**
 * Where which kind of secret is found, as it is, percent-encoded, escaped for HTML and in JSON: `[{ file, kind }]`; never the secret itself. There are thousands of secrets and many
 * megabytes, so each place is looked up by its last bytes, in which secrets differ most.
 */
export function betrayals(files, canaries) {
  const byEnd = new Map();
  const ends = new Uint8Array(1 << 24);
  for (const { kind, value } of canaries) {
    for (const form of new Set([value, encodeURIComponent(value), inHtml(value), JSON.stringify(value).slice(1, -1)])) {
      const bytes = Buffer.from(form);
      ends[bytes.readUIntLE(bytes.length - 3, 3)] = 1;
      const end = bytes.latin1Slice(bytes.length - shortest);
      byEnd.set(end, [...(byEnd.get(end) ?? []), { kind, bytes }]);
    }
  }
  const found = [];
  for (const file of files) {
    const text = readFileSync(file);
    const kinds = new Set();
    for (let at = shortest; at <= text.length; at += 1) {
      if (!ends[text[at - 3] | (text[at - 2] << 8) | (text[at - 1] << 16)]) continue;
      for (const { kind, bytes } of byEnd.get(text.latin1Slice(at - shortest, at)) ?? []) {
        if (at >= bytes.length && bytes.equals(text.subarray(at - bytes.length, at))) kinds.add(kind);
      }
    }
    found.push(...[...kinds].map((kind) => ({ file, kind })));
  }
  return found;
}
