// Tollgate beside its peers: the same upstream, the same load, one core for the proxy and another one for everything else, in turns.
//   node run.mjs [--rounds N] [--seconds N] [--only WORK…] [--json] [--smoke] [--profile]

import { mkdtempSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { vegeta, wrk } from './lib/load.mjs';
import { installed, start } from './lib/peers.mjs';
import { answering, freePorts, stopAll } from './lib/processes.mjs';
import { median, table } from './lib/report.mjs';
import { page, startStub, token } from './lib/stub.mjs';

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '4' },
    only: { type: 'string', multiple: true },
    json: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    profile: { type: 'boolean', default: false },
  },
});
const rounds = options.smoke ? 1 : Number(options.rounds);
const seconds = options.smoke ? 1 : Number(options.seconds);
const [proxyCore, otherCore] = [0, 1];

/** The works: what is asked for, and by whom it is done. The first one is what the others are compared with. */
const works = {
  'pass-through': { path: page, peers: [['nginx'], ['haproxy'], ['envoy'], ['tollgate']] },
  // Opaque tokens, so that nothing but the question is measured: Envoy signs nothing either.
  consult: { path: token('opaque'), post: true, peers: [['envoy-authz'], ['tollgate']] },
  'claims RS256': { path: token('bench'), post: true, peers: [['node'], ['tollgate', { verdict: 'claims' }]] },
  'claims ES256': { path: token('es'), post: true, peers: [['tollgate', { verdict: 'claims' }]] },
};

const run = mkdtempSync(join(tmpdir(), 'tollgate-bench-'));
const [port, upstream, hook] = await freePorts(3);
const place = { run, port, upstream, hook };

/** One peer at one work, once. */
async function measure(name, extra, { path, post }) {
  const program = start[name](proxyCore, { ...place, ...extra });
  try {
    const ready = await answering(port, page, program);
    const load = { port, path, post, run, core: otherCore };
    // Connections are opened, keys fetched, code paths warm.
    await wrk({ ...load, seconds: 1 });
    const before = program.cpu();
    const profile = options.profile && program.profile(seconds);
    const { requests, failed, seconds: took } = await wrk({ ...load, seconds });
    await profile;
    const cpu = program.cpu() - before;
    if (failed || !requests) throw new Error(`${name}: ${failed} of ${requests} requests failed; see ${run}`);
    return { cpu_us: (cpu / requests) * 1e6, rps: requests / took, memory_mib: program.memory() / 2 ** 20, ready_ms: ready };
  } finally {
    await program.stop();
  }
}

/** What a proxy adds to the time of a request at half of what it can do, both against the same stub. */
async function latency(rate) {
  const load = { path: token('opaque'), post: true, rate, seconds, core: otherCore, run };
  const direct = await vegeta({ ...load, port: upstream });
  const program = start.tollgate(proxyCore, place);
  try {
    await answering(port, page, program);
    await vegeta({ ...load, port, seconds: 1 });
    const through = await vegeta({ ...load, port });
    if (through.failed) throw new Error(`${through.failed} requests failed`);
    return { rate, direct, through };
  } finally {
    await program.stop();
  }
}

async function main() {
  await startStub(otherCore, place);

  const chosen = Object.entries(works).filter(([name]) => !options.only || options.only.some((part) => name.includes(part)));
  const figures = Object.fromEntries(chosen.map(([name]) => [name, {}]));
  // In turns, so that what the machine does meanwhile falls on all of them alike.
  for (let round = 0; round < rounds; round += 1) {
    for (const [work, { peers, ...load }] of chosen) {
      for (const [name, extra] of peers) {
        if (!installed[name.split('-')[0]] || (options.profile && name !== 'tollgate')) continue;
        const figure = await measure(name, extra, load);
        (figures[work][name] ??= []).push(figure);
        if (!options.json) console.error(`round ${round + 1}  ${work.padEnd(14)} ${name.padEnd(12)} ${figure.cpu_us.toFixed(1)} µs CPU, ${figure.rps.toFixed(0)} requests/s`);
      }
    }
  }
  const halfLoad = !options.profile && figures.consult?.tollgate && (await latency(Math.max(10, Math.round(median(figures.consult.tollgate.map(({ rps }) => rps)) / 2))));
  const result = { date: new Date().toISOString().slice(0, 10), machine: `${cpus()[0].model}, ${cpus().length} cores`, rounds, seconds, versions: installed, figures, latency: halfLoad };
  console.log(options.json ? JSON.stringify(result, null, 2) : table(result));
  if (options.profile) console.log(`What perf saw is in ${run}/tollgate-*.perf: perf report --children -i FILE`);
}

try {
  await main();
} finally {
  await stopAll();
}
