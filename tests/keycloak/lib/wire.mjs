// A bare HTTP/1.1 client: the request target, the header lines and the body go out exactly as given, one connection a request.
// Libraries normalise paths, drop odd headers and refuse odd framing, which is just what has to be tried here.

import net from 'node:net';

export class Answer {
  constructor(status, headers, body, ms) {
    Object.assign(this, { status, headers, body, ms });
  }

  /** All values of a header, in order. */
  all(name) {
    return this.headers.filter(([key]) => key.toLowerCase() === name).map(([, value]) => value);
  }

  header(name) {
    return this.all(name)[0];
  }

  get text() {
    return this.body.toString('utf8');
  }

  get json() {
    return JSON.parse(this.text);
  }
}

/**
 * Sends one request and reads its answer.
 * @param origin where to connect to, such as `http://127.0.0.1:8080`
 * @param request `{ method, target, headers, body, version, behind, reshape, whole, deadline }`: headers are pairs or an object; `Host` and
 *   `Content-Length` are added where missing (not where the value is `null`); `behind` are the bytes of a second request on the same connection;
 *   `reshape` changes all the bytes at last; `whole` takes for the body all that comes until the connection ends, the head included
 */
export function send(origin, request) {
  const { hostname, port, host } = new URL(origin);
  const plain = Buffer.concat([encode(request, host), Buffer.from(request.behind ?? '', 'latin1')]);
  const bytes = request.reshape?.(plain) ?? plain;
  const deadline = request.deadline ?? 60_000;
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: hostname, port: Number(port) });
    const chunks = [];
    let over = false;
    const settle = (how, value) => {
      over = true;
      clearTimeout(timer);
      socket.destroy();
      how(value);
    };
    const timer = setTimeout(() => settle(reject, new Error(`no answer within ${deadline} ms to ${request.method} ${request.target}`)), deadline);
    const attempt = (ended) => {
      if (over) return;
      const all = Buffer.concat(chunks);
      const parsed = decode(all, ended, request.method === 'HEAD');
      if (parsed && request.whole) parsed[2] = all;
      if (parsed) settle(resolve, new Answer(...parsed, performance.now() - started));
      else if (ended) settle(reject, new Error(`the connection ended before an answer to ${request.method} ${request.target}`));
    };
    socket.on('connect', () => socket.write(bytes));
    socket.on('data', (chunk) => {
      chunks.push(chunk);
      if (!request.behind && !request.whole) attempt(false);
    });
    socket.on('end', () => attempt(true));
    socket.on('error', (error) => (chunks.length ? attempt(true) : over || settle(reject, error)));
  });
}

function encode({ method = 'GET', target = '/', headers = {}, body = '', version = '1.1' }, host) {
  const pairs = Array.isArray(headers) ? [...headers] : Object.entries(headers);
  const names = pairs.map(([name]) => name.toLowerCase());
  const payload = Buffer.from(body);
  if (!names.includes('host')) pairs.unshift(['Host', host]);
  if (!names.includes('connection')) pairs.push(['Connection', 'close']);
  const framed = names.includes('content-length') || names.includes('transfer-encoding');
  if (!framed && (payload.length || !['GET', 'HEAD'].includes(method))) pairs.push(['Content-Length', String(payload.length)]);
  const lines = pairs.filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}`);
  const head = [`${method} ${target} HTTP/${version}`, ...lines, '', ''].join('\r\n');
  return Buffer.concat([Buffer.from(head, 'latin1'), payload]);
}

/** `[status, headers, body]` when the bytes hold a whole answer, otherwise undefined. */
function decode(bytes, ended, headless) {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first, ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n');
  const status = Number(first.split(' ')[1]);
  const rest = bytes.subarray(end + 4);
  // After 101 the bytes are another protocol's.
  if (status >= 100 && status < 200 && status !== 101) return decode(rest, ended, headless);
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
  const value = (name) => headers.find(([key]) => key.toLowerCase() === name)?.[1];
  if (headless || status === 101 || status === 204 || status === 304) return [status, headers, Buffer.alloc(0)];
  if (/chunked/i.test(value('transfer-encoding') ?? '')) {
    const body = unchunk(rest);
    return body && [status, headers, body];
  }
  const length = value('content-length');
  if (length !== undefined) return rest.length >= Number(length) ? [status, headers, rest.subarray(0, Number(length))] : undefined;
  return ended ? [status, headers, rest] : undefined;
}

function unchunk(bytes) {
  const parts = [];
  let at = 0;
  for (;;) {
    const end = bytes.indexOf('\r\n', at);
    if (end < 0) return undefined;
    const size = parseInt(bytes.subarray(at, end).toString('latin1'), 16);
    if (size === 0) return bytes.indexOf('\r\n\r\n', end) === -1 && bytes.indexOf('\r\n', end + 2) === -1 ? undefined : Buffer.concat(parts);
    if (bytes.length < end + 2 + size + 2) return undefined;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}

/** `application/x-www-form-urlencoded` from pairs or an object. */
export function form(fields) {
  return new URLSearchParams(fields).toString();
}

/** A `multipart/form-data` body and its content type. */
export function multipart(fields) {
  const boundary = 'tollgate-suite-7MA4YWxkTrZu0gW';
  const parts = Object.entries(fields).map(([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`);
  return { body: `${parts.join('')}--${boundary}--\r\n`, type: `multipart/form-data; boundary=${boundary}` };
}

export const urlencoded = 'application/x-www-form-urlencoded';
