// Spellings that only HTTP/2 has: its pseudo-headers. They go to Tollgate alone, by prior knowledge; the upstream gets HTTP/1.1 from it in any case.

import { once } from 'node:events';
import http2 from 'node:http2';

import { Answer } from '../lib/wire.mjs';
import { target, wire } from './draft.mjs';

const frame = (change) => (draft, at) => {
  const pseudo = { ':method': draft.method, ':path': target(draft), ':authority': at.host, ':scheme': 'http' };
  const changed = change(pseudo, at, draft);
  return changed && { ...draft, frame: { ...pseudo, ...changed } };
};

const table = {
  'HTTP/2': frame(() => ({})),
  'another authority': frame(() => ({ ':authority': 'elsewhere.example' })),
  'another host than the authority': frame((_, { host }) => ({ ':authority': host, host: 'elsewhere.example' })),
  'the host in the place of the authority': frame((_, { host }) => ({ ':authority': undefined, host })),
  'an authority with a user': frame((_, { host }) => ({ ':authority': `x@${host}` })),
  'a path in absolute form': frame(({ ':path': path }, { origin }) => ({ ':path': `${origin}${path}` })),
  'a path with a fragment': frame(({ ':path': path }) => ({ ':path': `${path}#x` })),
  'a path without its slash': frame(({ ':path': path }) => ({ ':path': path.slice(1) })),
  'a path with a space': frame(({ ':path': path }) => ({ ':path': `${path} HTTP/1.1` })),
  'a path with a line end': frame(({ ':path': path }) => ({ ':path': `${path}\r\nx: y` })),
  'a path with a dot-dot segment': frame(({ ':path': path }) => ({ ':path': `/x/..${path}` })),
  'a method in small letters': frame(({ ':method': method }) => ({ ':method': method.toLowerCase() })),
  'a method with a space': frame(({ ':method': method }) => ({ ':method': `${method} /x` })),
  'https': frame(() => ({ ':scheme': 'https' })),
  'another scheme': frame(() => ({ ':scheme': 'gopher' })),
};

export const frames = Object.entries(table).map(([name, spell]) => ({ dimension: 'HTTP/2', name, spell }));

/** Sends a draft with a `frame` on a connection of its own. A stream or connection that is ended without an answer is an error. */
export async function sendFrame(origin, draft) {
  const { headers, body } = wire(draft);
  const session = http2.connect(origin);
  const failed = once(session, 'error').then(([error]) => Promise.reject(error));
  try {
    const fields = Object.fromEntries(Object.entries(draft.frame).filter(([, value]) => value !== undefined));
    for (const [name, value] of headers) fields[name.toLowerCase()] = value;
    const stream = session.request(fields, { endStream: !body.length });
    if (body.length) stream.end(body);
    const [answer] = await Promise.race([once(stream, 'response'), failed]);
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const pairs = Object.entries(answer).flatMap(([name, value]) => [value].flat().map((one) => [name, String(one)]));
    return new Answer(answer[':status'], pairs, Buffer.concat(chunks), 0);
  } finally {
    failed.catch(() => undefined);
    session.destroy();
  }
}
