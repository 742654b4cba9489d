// Requests whose framing two servers could read in two ways, straight to Tollgate and through nginx and HAProxy in front of it: none of them
// brings a second request in, and no answer goes to another one.

import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';

import { provider } from './lib/provider.mjs';
import { ask, expect, pause, tollgate, until } from './lib/proxy.mjs';

/** Header lines and a body; `S` stands for a whole second request, and `N` for its length. */
const CASES = [
  ['Content-Length: 6\r\nTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked\r\nContent-Length: 6', '0\r\n\r\nS'],
  ['Content-Length: N\r\nTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Content-Length: 4\r\nTransfer-Encoding: chunked', '5c\r\nS\r\n0\r\n\r\n'],
  ['Transfer-Encoding: gzip, chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked, chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked, identity', '0\r\n\r\nS'],
  ['Transfer-Encoding: identity, chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked\r\nTransfer-Encoding: identity', '0\r\n\r\nS'],
  ['Transfer-Encoding: identity\r\nTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked\r\nTransfer-Encoding: cow', '0\r\n\r\nS'],
  ['Transfer-Encoding: identity\r\nContent-Length: 3', 'abcS'],
  ['Transfer-Encoding: xchunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunkedx', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked;q=1', '0\r\n\r\nS'],
  ['Transfer-Encoding: "chunked"', '0\r\n\r\nS'],
  ['Transfer-Encoding: , chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked,', '0\r\n\r\nS'],
  ['Transfer-Encoding:\x0bchunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: \x00chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: chun\x00ked', '0\r\n\r\nS'],
  ['Transfer-Encoding:\r\n chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding:\n chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding : chunked', '0\r\n\r\nS'],
  [' Transfer-Encoding: chunked', '0\r\n\r\nS'],
  ['\tTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding\r\n: chunked', '0\r\n\r\nS'],
  ['X: y\nTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['X: y\rTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['X: y\r\n folded', 'S'],
  ['X: \0y\r\nContent-Length: 0', 'S'],
  ['X: y\nContent-Length: N', 'S'],
  ['X: y\rContent-Length: N', 'S'],
  ['Transfer-Encoding: chunked\x0b', '0\r\n\r\nS'],
  ['Transfer-Encoding: chunked\x0c', '0\r\n\r\nS'],
  ['\x0bTransfer-Encoding: chunked', '0\r\n\r\nS'],
  ['Transfer-Encoding: CHUNKED, identity', '0\r\n\r\nS'],
  ['Content-Length: 3\x0b', 'abcS'],
  ['Content-Length: \x0b3', 'abcS'],
  ['Content-Length: 0\r\nContent-Length: N', 'S'],
  ['Content-Length: N\r\nContent-Length: 0', 'S'],
  ['Content-Length: 3\r\nContent-Length: 3', 'abcS'],
  ['Content-Length: 3, 3', 'abcS'],
  ['Content-Length: 0, N', 'S'],
  ['Content-Length: +3', 'abcS'],
  ['Content-Length: -3', 'abcS'],
  ['Content-Length: 0x3', 'abcS'],
  ['Content-Length: 3 3', 'abcS'],
  ['Content-Length: 3;q=1', 'abcS'],
  ['Content-Length: "3"', 'abcS'],
  ['Content-Length: 3.0', 'abcS'],
  ['Content-Length: 3e0', 'abcS'],
  ['Content-Length: ', 'S'],
  ['Content-Length : N', 'S'],
  ['Content-Length\t: N', 'S'],
  ['Content-Length: 18446744073709551616', 'S'],
  ['Content-Length: 99999999999999999999', 'S'],
  ['Transfer-Encoding: chunked', '1;a\nb\r\nS'],
  ['Transfer-Encoding: chunked', ' 0\r\n\r\nS'],
  ['Transfer-Encoding: chunked', 'zz\r\nS'],
  ['Transfer-Encoding: chunked', '-1\r\nS'],
  ['Transfer-Encoding: chunked', '0x0\r\n\r\nS'],
  ['Transfer-Encoding: chunked', '3\nabc\n0\n\nS'],
  ['Transfer-Encoding: chunked', '3\r\nabcd\r\n0\r\n\r\nS'],
  ['Transfer-Encoding: chunked', '10000000000000000\r\nS'],
  ['Transfer-Encoding: chunked', '0\r\nContent-Length: N\r\nS'],
];

export default async function framing(run) {
  const idp = await provider();
  const proxy = await tollgate(run, 'framing', {
    provider: idp,
    upstream: idp.port,
    listen: 'body_timeout = "400ms"\nheader_timeout = "400ms"\ntrusted_proxies = ["127.0.0.0/8"]',
  });
  const fronts = [{ name: 'straight', port: proxy.port }, await nginx(run, proxy.port), await haproxy(run, proxy.port)];
  const figures = [];
  for (const { name, port, child } of fronts) {
    await until(`${name} serves`, async () => (await get(port, proxy.port, '/ready')).status === 200);
    let [refused, sent] = [0, 0];
    for (const path of ['/page', '/signup']) {
      for (const [headers, body] of CASES) {
        idp.seen.clear();
        let answer = await raw(port, bytes(proxy.port, path, headers, body));
        // The second answer of a front that read two requests may take a while.
        if (child && idp.seen.has('/smuggled')) answer = await raw(port, bytes(proxy.port, path, headers, body), 700);
        sent += 1;
        refused += /^HTTP\/1\.1 2/.test(answer) ? 0 : 1;
        // A front may read two requests where we would read none: it then has two answers to give.
        const answers = answer.match(/HTTP\/1\.1 [2-5]\d\d /g)?.length ?? 0;
        const pipelined = child && answers > 1;
        expect(pipelined || !idp.seen.has('/smuggled'), `${name}: no second request by ${JSON.stringify([path, headers, body])}, one came; ${JSON.stringify(answer.slice(0, 200))}`);
        // Whatever is left on a connection between the two would be taken for the beginning of the next request.
        const next = await get(port, proxy.port, `/next-${sent}`);
        expect(next.status === 200 && next.text.includes(`"/next-${sent}"`), `${name}: the next request to have its own answer after ${JSON.stringify([path, headers, body])}, got ${JSON.stringify(next)}`);
      }
    }
    // Behind a front, that one may have put some of them right.
    expect(name !== 'straight' || refused === sent, `all ${sent} to be refused, ${sent - refused} were not`);
    figures.push(`${name}: ${sent} of ${sent} brought in no request that had no answer of its own (${refused} refused), and nobody got another one's answer`);
    child?.kill('SIGTERM');
  }
  await proxy.stop();
  idp.close();
  return figures;
}

function bytes(port, path, headers, body) {
  const second = `GET /smuggled HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
  const put = (text) => text.replace('N', String(second.length)).replace('S', second);
  const type = 'Content-Type: application/x-www-form-urlencoded\r\n';
  // Only the length in these: `S` and `N` are in the names of headers as well.
  const lines = headers.replace(/\bN\b/, String(second.length));
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${type}${lines}\r\n\r\n${put(body)}`;
}

function get(port, named, path) {
  return ask(port, { path, headers: { host: `127.0.0.1:${named}` }, limit: 5000 });
}

/** Everything that comes until the other side closes, or for half a second more than Tollgate waits. */
function raw(port, text, more = 30) {
  return new Promise((resolve) => {
    let answer = '';
    const socket = net.connect({ port, host: '127.0.0.1' }, () => socket.write(Buffer.from(text, 'latin1')));
    const end = () => {
      socket.destroy();
      resolve(answer);
    };
    let timer = setTimeout(end, 900);
    socket.setEncoding('latin1').on('data', (chunk) => {
      answer += chunk;
      clearTimeout(timer);
      // A second answer would come at once.
      timer = setTimeout(end, more);
    });
    socket.on('error', end).on('close', end);
  });
}

async function nginx(run, to) {
  const port = await free();
  const folder = join(run, 'nginx');
  mkdirSync(folder, { recursive: true });
  const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${folder}/${name};`).join('\n');
  writeFileSync(
    join(folder, 'nginx.conf'),
    `daemon off; pid ${folder}/pid; error_log ${folder}/error.log; worker_processes 1;
events {}
http {
  access_log off;
  ${temp}
  upstream tollgate { server 127.0.0.1:${to}; keepalive 4; }
  server {
    listen 127.0.0.1:${port};
    location / { proxy_pass http://tollgate; proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_request_buffering off; }
  }
}
`,
  );
  return { name: 'nginx', port, child: front('nginx', ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log')]) };
}

async function haproxy(run, to) {
  const port = await free();
  const file = join(run, 'haproxy.cfg');
  writeFileSync(
    file,
    `defaults
  mode http
  timeout connect 2s
  timeout client 2s
  timeout server 2s
  http-reuse always
frontend front
  bind 127.0.0.1:${port}
  default_backend tollgate
backend tollgate
  server one 127.0.0.1:${to}
`,
  );
  return { name: 'HAProxy', port, child: front('haproxy', ['-f', file]) };
}

function front(command, args) {
  const child = spawn(command, args, { stdio: 'ignore' });
  process.once('exit', () => child.kill('SIGKILL'));
  child.once('error', (error) => console.error(`${command} cannot be started: ${error.message}`));
  return child;
}

async function free() {
  const server = net.createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  await pause(1);
  return port;
}
