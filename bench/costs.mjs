// What Tollgate costs by itself: memory, the time to be ready, and whether a request costs more when there is more of everything.
//   node costs.mjs [--rounds N] [--seconds N] [--json] [--smoke] [--store FILE]   a filled audit: cargo bench --bench audit -- RECORDS --store FILE

import { copyFileSync, mkdtempSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { wrk } from './lib/load.mjs';
import { start } from './lib/peers.mjs';
import { answering, freePorts, stopAll } from './lib/processes.mjs';
import { median } from './lib/report.mjs';
import { page, startStub, token } from './lib/stub.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    store: { type: 'string' },
    json: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
  },
});
const rounds = options.smoke ? 1 : Number(options.rounds);
const seconds = options.smoke ? 1 : Number(options.seconds);
const many = options.smoke ? 100 : 2_000;
const [proxyCore, otherCore] = [0, 1];

const run = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const [port, upstream, hook] = await freePorts(3);
const place = { run, port, upstream, hook };

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const kib = (bytes) => bytes / 1024;
const middle = (figures) => ({ rps: median(figures.map(({ rps }) => rps)), used: median(figures.map(({ used }) => used)) });

/** Runs `work` beside a Tollgate of its own. */
async function beside({ cores = proxyCore, ...extra }, work) {
  const program = start.tollgate(cores, { ...place, ...extra });
  try {
    return await work(program, await answering(port, page, program));
  } finally {
    await program.stop();
  }
}

/** Ready, and at rest. */
const rest = () => beside({}, async (program, ready) => {
  await wait(1_000);
  return { ready_ms: ready, rest_mib: program.memory() / 2 ** 20 };
});

/** KiB that an idle keep-alive connection holds, after it had an answer and came to rest. */
const idle = () => beside({}, async (program) => {
  const warm = new http.Agent({ keepAlive: true, maxSockets: 64 });
  await Promise.all(Array.from({ length: 64 }, () => ask(warm, page)));
  warm.destroy();
  const before = program.memory();
  const quiet = [];
  // A few at a time: what a burst of requests leaves with the allocator is not what idle connections hold.
  while (quiet.length < many) {
    quiet.push(...await Promise.all(Array.from({ length: 64 }, () => connected())));
    await wait(250);
  }
  await wait(1_000);
  const held = kib(program.memory() - before) / quiet.length;
  quiet.forEach((socket) => socket.destroy());
  return held;
});

/** KiB that a request holds which waits for its interceptor. */
async function paused() {
  const silent = net.createServer((socket) => socket.on('error', () => {}));
  await new Promise((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const further = 'timeout = "30s"\n';
  try {
    return await beside({ hook: silent.address().port, further }, async (program) => {
      const before = program.memory();
      const agent = new http.Agent({ keepAlive: true, maxSockets: many });
      const body = 'grant_type=authorization_code&code=a-code&redirect_uri=https%3A%2F%2Fapp.example.com%2Fcb&client_id=web';
      const waiting = Array.from({ length: many }, () => ask(agent, token('opaque'), body).catch(() => undefined));
      for (;;) {
        const open = await new Promise((resolve) => silent.getConnections((_, count) => resolve(count)));
        if (open >= many) break;
        await wait(50);
      }
      await wait(500);
      const held = kib(program.memory() - before) / many;
      agent.destroy();
      await Promise.all(waiting);
      return held;
    });
  } finally {
    silent.close();
  }
}

/** A connection that has had one answer. */
function connected() {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(`GET ${page} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`));
    socket.once('data', () => resolve(socket));
    socket.once('error', reject);
  });
}

function ask(agent, path, body) {
  return new Promise((resolve, reject) => {
    const headers = body ? { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) } : {};
    const request = http.request({ host: '127.0.0.1', port, path, agent, method: body ? 'POST' : 'GET', headers }, (answer) => {
      answer.resume();
      answer.once('end', resolve);
    });
    request.once('error', reject);
    request.end(body);
  });
}

const routes = (count) => Array.from({ length: count }, (_, n) => `\n[[route]]\nname = "own-${n}"\nmethods = ["POST"]\npath = "/api/{tenant}/own-${n}"\ndoes = "pass"\n`).join('');
const interceptors = (count) => Array.from({ length: count }, (_, n) => `\n[[interceptor]]\nname = "Other ${n}"\ntrigger = "PRE_SESSION_CREATION"\nendpoint = "http://127.0.0.1:${hook}/allow"\nsecret = { file = "hook.key" }\non_failure = "deny"\nwhen = { clients = ["other-${n}-*"], realms = ["elsewhere"] }\n`).join('');

/** Pairs that should cost the same: little of something, and much. */
const flat = {
  'pass-through, 1,000 routes of the operator’s': [{ path: page }, {}, { further: routes(1_000) }],
  'consult, 1,000 routes of the operator’s': [{ path: token('opaque'), post: true }, {}, { further: routes(1_000) }],
  'consult, 200 interceptors whose conditions do not fit': [{ path: token('opaque'), post: true }, {}, { further: interceptors(200) }],
  'pass-through, 9,000 connections that are idle': [{ path: page }, {}, { idle: options.smoke ? 200 : 9_000 }],
  ...(options.store && { 'consult, a filled audit': [{ path: token('opaque'), post: true }, {}, { audit: options.store }] }),
};

/** What a load came to once everything is warm: its requests, the seconds that it took, and the CPU seconds that were spent. */
async function worked(program, load) {
  await wrk({ ...load, seconds: 1 });
  const before = program.cpu();
  const { requests, failed, seconds: took } = await wrk({ ...load, seconds });
  const spent = program.cpu() - before;
  if (failed || !requests) throw new Error(`${failed} of ${requests} requests failed; see ${run}`);
  return { requests, took, spent };
}

/** CPU microseconds a request, with an audit that is there already, or beside connections that are idle. */
async function cost(load, { audit, idle = 0, ...extra }) {
  const put = audit && ((folder) => copyFileSync(audit, join(folder, 'audit.db')));
  return beside({ ...extra, put }, async (program) => {
    const all = { port, run, core: otherCore, ...load };
    const quiet = await Promise.all(Array.from({ length: idle }, () => connected()));
    const { requests, spent } = await worked(program, all);
    quiet.forEach((socket) => socket.destroy());
    return (spent / requests) * 1e6;
  });
}

/** Requests a second with claims and RS256, by so many cores, and how many of them Tollgate used; with all of them, the load has what is left. */
async function spread(cores) {
  return beside({ cores, verdict: 'claims' }, async (program) => {
    const load = { port, run, path: token('bench'), post: true, core: cores === proxyCore ? otherCore : cores };
    const { requests, took, spent } = await worked(program, load);
    return { rps: requests / took, used: spent / took };
  });
}

async function main() {
  await startStub(otherCore, place);
  const small = { rest: [], idle_kib: [], paused_kib: [], one: [], both: [] };
  const pairs = Object.fromEntries(Object.keys(flat).map((name) => [name, { little: [], much: [] }]));
  for (let round = 0; round < rounds; round += 1) {
    small.rest.push(await rest());
    small.idle_kib.push(await idle());
    small.paused_kib.push(await paused());
    small.one.push(await spread(proxyCore));
    small.both.push(await spread(`${proxyCore},${otherCore}`));
    for (const [name, [load, little, much]] of Object.entries(flat)) {
      pairs[name].little.push(await cost(load, little));
      pairs[name].much.push(await cost(load, much));
    }
  }
  const result = {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpus()[0].model}, ${cpus().length} cores`,
    ready_ms: median(small.rest.map(({ ready_ms }) => ready_ms)),
    rest_mib: median(small.rest.map(({ rest_mib }) => rest_mib)),
    idle_kib: median(small.idle_kib),
    paused_kib: median(small.paused_kib),
    one_core: middle(small.one),
    both_cores: middle(small.both),
    flat: Object.fromEntries(Object.entries(pairs).map(([name, { little, much }]) => [name, { little_us: median(little), much_us: median(much), ratio: median(much) / median(little) }])),
  };
  if (options.json) return console.log(JSON.stringify(result, null, 2));
  console.log(`${result.date}, ${result.machine}; ${rounds} rounds, one core for the proxy.\n`);
  console.log(`Ready after ${result.ready_ms.toFixed(0)} ms; ${result.rest_mib.toFixed(1)} MiB at rest, ${result.idle_kib.toFixed(1)} KiB an idle connection, ${result.paused_kib.toFixed(1)} KiB a paused request.\n`);
  const [one, both] = [result.one_core, result.both_cores];
  console.log(`Claims with RS256: ${one.rps.toFixed(0)} requests a second with ${one.used.toFixed(2)} cores, ${both.rps.toFixed(0)} with ${both.used.toFixed(2)}, that is ${(both.rps / one.rps).toFixed(2)} times as many.\n`);
  console.log('| what there is more of | little, CPU µs/request | much, CPU µs/request | ratio |\n| --- | --- | --- | --- |');
  for (const [name, { little_us, much_us, ratio }] of Object.entries(result.flat)) console.log(`| ${name} | ${little_us.toFixed(1)} | ${much_us.toFixed(1)} | ${ratio.toFixed(2)} |`);
}

try {
  await main();
} finally {
  await stopAll();
}
