// A request as it is meant, before anybody spells it oddly; and what goes on the wire for it.
//
// A draft is `{ method, path, query, headers, form | json | neither, key }`: `query`, `headers` and `form` are lists of pairs, `json` is a document.
// `key` names the field that decides what the request does, `decoy` is another value for it. A spelling is a function from a draft to another, or to
// nothing where it does not apply; it may set `target`, `type` (the content type; null for none), `body` and `version` outright. `deadline` is how long to wait, in milliseconds.

import { urlencoded } from '../lib/wire.mjs';

export const pairs = (entries) => (Array.isArray(entries) ? entries : Object.entries(entries));
export const encoded = (list) => list.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
export const escapeAll = (text) => [...Buffer.from(text)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');

/** The target of a draft in origin-form. */
export function target(draft) {
  if (draft.target !== undefined) return draft.target;
  return draft.query?.length ? `${draft.path}?${draft.rawQuery ?? encoded(draft.query)}` : `${draft.path}${draft.rawQuery ? `?${draft.rawQuery}` : ''}`;
}

/** The bytes of the body. */
export function body(draft) {
  if (draft.body !== undefined) return draft.body;
  if (draft.form) return encoded(draft.form);
  return draft.json === undefined ? '' : JSON.stringify(draft.json);
}

function type(draft) {
  if (draft.type !== undefined) return draft.type;
  if (draft.form) return urlencoded;
  return draft.json === undefined ? null : 'application/json';
}

/** What `lib/wire.mjs` sends for a draft. */
export function wire(draft) {
  const types = [type(draft)].flat().filter((value) => value !== null);
  const headers = [...(draft.headers ?? []), ...types.map((value) => ['Content-Type', value])];
  return { method: draft.method, target: target(draft), headers, body: body(draft), version: draft.version ?? '1.1', reshape: draft.reshape, behind: draft.behind?.(draft), deadline: draft.deadline ?? 30_000 };
}

/** The draft with further headers, in front or behind. */
export const headed = (draft, ...headers) => ({ ...draft, headers: [...(draft.headers ?? []), ...headers] });
