// Half of the load that can be served, with faults that come and go: memory and descriptors stay where they are, and every failure is one that
// was made.
//
//   node tests/faults/soak.mjs [MINUTES]     60 by default; CI runs a third of a minute as a part of run.mjs
//
// The peak is measured first, without faults, by clients that wait for nothing but their answers. Then the same mix comes at half of that rate,
// whatever becomes of the requests before.

import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { faraway, usage } from './lib/faraway.mjs';
import { MIB, expect, pause, prepare, quantile, stopAll, tollgate, until } from './lib/proxy.mjs';
import { FAULTS } from './lib/wire.mjs';

/** As many as find the peak: with more of them there are hardly more answers, but waits beyond the timeouts of the interceptors. */
const CLIENTS = 32;
/** What of a second of load may come at once after the test itself was kept waiting. */
const BURST = 0.1;

export default async function soak(run, seconds = 17) {
  const far = await faraway(5);
  const url = `http://127.0.0.1:${far.out}`;
  const proxy = await tollgate(run, 'soak', {
    provider: far.provider,
    upstream: far.up,
    up: 'connect_timeout = "500ms"\nresponse_timeout = "1s"\nidle_timeout = "500ms"',
    interceptors: [
      { name: 'closed', trigger: 'PRE_SIGNUP', url: `${url}/signup`, lines: 'timeout = "300ms"\non_failure = "deny"\nbreaker = { open_for = "200ms" }' },
      { name: 'open', trigger: 'PRE_M2M_TOKEN_CREATION', url: `${url}/machine`, lines: 'timeout = "300ms"\non_failure = "allow"\nbreaker = { open_for = "200ms" }' },
    ],
  });
  let sent = 0;
  /** The next request of the mix, which is a page, a machine token and a signup in turn: `{ kind, status or error, ms }`. */
  const next = async () => {
    const kind = ['page', 'token', 'signup'][sent++ % 3];
    return { kind, ...(await (kind === 'page' ? proxy.get('/page') : kind === 'token' ? proxy.machineToken() : proxy.signup())) };
  };
  await until('a token is issued', async () => (await proxy.machineToken()).status === 200);
  const peak = await measured(proxy, far, next, Math.min(10, Math.max(3, seconds / 60)));
  const rest = async () => {
    await until('connections are closed', async () => (await proxy.metric('tollgate_connections_open')) === 0);
    await pause(1500);
    return proxy.descriptors();
  };
  const descriptors = await rest();

  const rate = peak.rate / 2;
  const [samples, counts, unexplained, times] = [[], {}, [], []];
  const began = performance.now();
  const end = began + seconds * 1000;
  let fault = 'none';
  let quietSince = began;
  let underWay = 0;
  const request = async () => {
    const since = performance.now();
    underWay += 1;
    const answer = await next();
    underWay -= 1;
    const key = answer.error ?? answer.status;
    counts[key] = (counts[key] ?? 0) + 1;
    if (answer.status === 200 && times.length < 100_000) times.push(answer.ms);
    // A fault explains what was under way while it lasted; after it a minute's fail-open limit may still deny tokens and a breaker others.
    const explained = fault !== 'none' || since < quietSince + 1000 || (answer.status === 400 && answer.kind !== 'page');
    if (answer.status !== 200 && !explained) unexplained.push(answer);
  };
  sent = 0;
  const load = (async () => {
    let [tokens, filled] = [0, performance.now()];
    while (filled < end) {
      const now = performance.now();
      tokens = Math.min(tokens + ((now - filled) / 1000) * rate, Math.max(1, rate * BURST));
      filled = now;
      for (; tokens >= 1; tokens -= 1) request();
      await pause(5);
    }
  })();
  const faults = (async () => {
    for (let i = 0; performance.now() < end; i += 1) {
      const [where, name] = [i % 2 ? 'up' : 'out', FAULTS[Math.floor(i / 2) % FAULTS.length]];
      fault = name;
      await far.set(where, name);
      await pause(500);
      await far.set(where, 'none');
      fault = 'none';
      quietSince = performance.now();
      await pause(Math.min(2500, seconds * 50));
    }
  })();
  const sampling = (async () => {
    while (performance.now() < end) {
      samples.push({ at: performance.now(), memory: proxy.memory(), descriptors: proxy.descriptors() });
      await pause(Math.min(1000, seconds * 10));
    }
  })();
  await Promise.all([load, faults, sampling]);
  const paced = sent / ((performance.now() - began) / 1000);
  await until('everything is answered', () => underWay === 0);
  const left = await rest();
  const quarter = (number) => samples.slice(Math.floor((samples.length * number) / 4), Math.floor((samples.length * (number + 1)) / 4)).map((sample) => sample.memory / MIB);
  const [second, last] = [quantile(quarter(1), 0.5), quantile(quarter(3), 0.5)];
  const hours = seconds / 3600;
  const slope = (last - second) / (hours / 2);
  expect(left <= descriptors, `as many descriptors as before, ${descriptors}, there are ${left}`);
  expect(unexplained.length === 0, `no failure that no fault explains, got ${unexplained.length}: ${JSON.stringify(unexplained[0])}`);
  // Growth by the hour needs an hour; in a short run allocators still settle.
  if (seconds >= 1800) expect(slope <= 4 && last <= second * 1.02, `memory to stay within 2 % and to grow by no more than 4 MiB an hour, it grew from ${second.toFixed(1)} to ${last.toFixed(1)} MiB`);
  else expect(last - second < 16, `memory to stay, it grew from ${second.toFixed(1)} to ${last.toFixed(1)} MiB`);
  const of = (status) => `${counts[status]} × ${status}`;
  const figures = [
    ...peak.figures,
    `${seconds} s at half of it: ${paced.toFixed(0)} a second of ${rate.toFixed(0)}, median ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms where the answer was 200`,
    `${Object.keys(counts).map(of).join(', ')}; 0 without a cause`,
    `memory, medians of the second and the last quarter: ${second.toFixed(1)} and ${last.toFixed(1)} MiB${seconds >= 1800 ? ` (${slope.toFixed(1)} MiB an hour)` : ''}; descriptors before ${descriptors}, at the end ${left} (most: ${Math.max(...samples.map((sample) => sample.descriptors))})`,
  ];
  const ended = await proxy.stop();
  expect(ended.code === 0, `an end with 0, got ${JSON.stringify(ended)}`);
  await far.close();
  return figures;
}

/** The most that is answered a second, and who it was that could do no more. */
async function measured(proxy, far, next, seconds) {
  const clients = usage(performance);
  far.use();
  const [began, worked] = [performance.now(), proxy.cpu()];
  let [answered, late] = [0, 0];
  await Promise.all(
    Array.from({ length: CLIENTS }, async () => {
      while (performance.now() - began < seconds * 1000) {
        if ((await next()).status === 200) answered += 1;
        else late += 1;
      }
    }),
  );
  const took = (performance.now() - began) / 1000;
  const [tollgates, test, ends] = [(proxy.cpu() - worked) / took, clients(), far.use()];
  const limit = Math.max(test, ends) > 0.9 ? 'the test is what limits it, and Tollgate alone could do more' : 'neither is what limits it';
  return {
    rate: answered / took,
    figures: [
      `peak: ${(answered / took).toFixed(0)} requests a second served to ${CLIENTS} clients for ${seconds.toFixed(0)} s, pages, machine tokens and signups by turns, all on ${availableParallelism()} cores; ${late} others`,
      `Tollgate used ${tollgates.toFixed(2)} of them; the thread of the clients was busy for ${(100 * test).toFixed(0)} %, that of the provider and the endpoint for ${(100 * ends).toFixed(0)} %: ${limit}`,
    ],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const run = mkdtempSync(join(tmpdir(), 'tollgate-soak-'));
  prepare(run);
  try {
    for (const line of await soak(run, Number(process.argv[2] ?? 60) * 60)) console.log(line);
  } finally {
    await stopAll();
  }
  rmSync(run, { recursive: true });
  process.exit(0);
}
