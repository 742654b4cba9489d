// Every way in which the provider, an interceptor and the key set can fail: the answer, its time, the record, and nothing left behind.

import { hook, provider } from './lib/provider.mjs';
import { MIB, expect, slowdown, tollgate, until } from './lib/proxy.mjs';
import { FAULTS, wire } from './lib/wire.mjs';

/** Deadlines of the configuration and what may come on top of them on a busy machine. */
const RESPONSE = 1000;
const TIMEOUT = 600;
const SLACK = 1500 * slowdown();

export default async function matrix(run) {
  const idp = await provider();
  const endpoint = await hook();
  const [up, out] = [await wire(idp.port), await wire(endpoint.port)];
  const url = (path) => `http://127.0.0.1:${out.port}${path}`;
  const timeout = `timeout = "${TIMEOUT}ms"\nbreaker = { failures_in_a_row = 1000, minimum_calls = 1000 }`;
  const options = {
    provider: idp,
    upstream: up.port,
    up: `connect_timeout = "500ms"\nresponse_timeout = "${RESPONSE}ms"\nidle_timeout = "300ms"`,
    interceptors: [
      { name: 'closed', trigger: 'PRE_SIGNUP', url: url('/signup'), lines: `on_failure = "deny"\n${timeout}` },
      { name: 'open', trigger: 'PRE_M2M_TOKEN_CREATION', url: url('/machine'), lines: `on_failure = "allow"\nfail_open_limit = 1.0\n${timeout}` },
    ],
  };
  const proxy = await tollgate(run, 'matrix', options);
  const works = async () => {
    const [token, signup, page] = [await proxy.machineToken(), await proxy.signup(), await proxy.get('/page')];
    expect(token.status === 200 && signup.status === 200 && page.status === 200, `service: ${token.status} ${signup.status} ${page.status} ${token.text}`);
  };
  for (let i = 0; i < 20; i += 1) await works();
  const settled = async () => {
    await until('idle connections are closed', async () => proxy.descriptors() <= before.descriptors, 15_000);
  };
  await until('the pools are empty', async () => (await proxy.metric('tollgate_connections_open')) === 0);
  const before = { descriptors: 0, memory: 0 };
  let last = Infinity;
  await until('no descriptor is closed any more', async () => {
    const now = proxy.descriptors();
    const steady = now === last;
    last = now;
    await new Promise((resolve) => setTimeout(resolve, 400));
    return steady;
  });
  Object.assign(before, { descriptors: proxy.descriptors(), memory: proxy.memory() });
  const figures = [];

  // The provider.
  for (const fault of FAULTS) {
    const [asked, tokens] = [endpoint.asked, idp.seen.get('/token') ?? 0];
    await up.set(fault);
    const [token, page] = await Promise.all([proxy.machineToken(), proxy.get('/page')]);
    const timesOut = ['black hole', 'drip'].includes(fault);
    const expected = { latency: 200 }[fault] ?? (timesOut ? 504 : 502);
    expect(token.status === expected, `provider ${fault}: token ${expected}, got ${JSON.stringify(token)}`);
    // Half an answer whose head came is half an answer for the client too, and says so by breaking off.
    const cut = fault === 'half' && page.error;
    expect(cut || page.status === expected, `provider ${fault}: page ${expected}, got ${JSON.stringify(page)}`);
    const slowest = Math.max(token.ms, page.ms);
    expect(slowest < RESPONSE + 500 + SLACK, `provider ${fault}: an answer in time, took ${slowest} ms`);
    const sent = (idp.seen.get('/token') ?? 0) - tokens;
    expect(sent <= 1, `provider ${fault}: the token request is sent once, it was ${sent} times`);
    if (expected !== 200) {
      const error = JSON.parse(token.text);
      expect(error.error === (timesOut ? 'temporarily_unavailable' : 'server_error'), `provider ${fault}: ${token.text}`);
      expect(!token.text.includes('eyJ') && endpoint.asked === asked, `provider ${fault}: no token, nobody asked`);
    }
    await up.set('none');
    await works();
    figures.push(`provider    ${fault.padEnd(11)} token ${token.status} in ${token.ms.toFixed(0)} ms, page ${page.error ?? page.status} in ${page.ms.toFixed(0)} ms`);
  }

  // The interceptors: one that fails closed, one that fails open.
  for (const fault of FAULTS) {
    const accounts = idp.seen.get('/signup') ?? 0;
    await out.set(fault);
    const [signup, token] = await Promise.all([proxy.signup(), proxy.machineToken()]);
    const well = fault === 'latency';
    expect(signup.status === (well ? 200 : 400), `interceptor ${fault}: signup, got ${JSON.stringify(signup)}`);
    expect(token.status === 200, `interceptor ${fault}: token 200, got ${JSON.stringify(token)}`);
    expect(Math.max(signup.ms, token.ms) < TIMEOUT + SLACK, `interceptor ${fault}: in time, took ${signup.ms} and ${token.ms} ms`);
    expect((idp.seen.get('/signup') ?? 0) - accounts === (well ? 1 : 0), `interceptor ${fault}: the account is ${well ? '' : 'not '}made`);
    const records = proxy.records(2);
    for (const record of records) {
      const { decided_by: by, decision } = flat(record);
      const expected = well ? 'endpoint' : 'on_failure';
      expect(by === expected, `interceptor ${fault}: decided by ${expected}, the record says ${JSON.stringify(record)}`);
      expect(well || decision === (flat(record).trigger === 'PRE_SIGNUP' ? 'deny' : 'allow'), `interceptor ${fault}: ${JSON.stringify(record)}`);
    }
    await out.set('none');
    await works();
    figures.push(`interceptor ${fault.padEnd(11)} fails closed ${signup.status} in ${signup.ms.toFixed(0)} ms, fails open ${token.status} in ${token.ms.toFixed(0)} ms`);
  }

  // A denial whose revocation fails as well: the client does not wait, and the record says so.
  endpoint.decision = 'DENY';
  for (const fault of ['refuse', 'reset', 'black hole', 'half']) {
    idp.fate.set('/revoke', fault);
    const token = await proxy.machineToken();
    expect(token.status === 400 && JSON.parse(token.text).error === 'access_denied', `revocation ${fault}: denied, got ${JSON.stringify(token)}`);
    await until(`the revocation by ${fault} is recorded`, () => flat(proxy.records(1)[0]).kind === 'revocation', 5000);
    figures.push(`revocation  ${fault.padEnd(11)} denied in ${token.ms.toFixed(0)} ms, recorded: ${JSON.stringify(proxy.records(1)[0].revocation ?? proxy.records(1)[0].failure ?? {})}`.slice(0, 160));
  }
  idp.fate.clear();
  endpoint.decision = 'ALLOW';
  await works();

  await settled();
  const grown = proxy.memory() - before.memory;
  expect(grown < 16 * MIB, `memory as before, it grew by ${(grown / MIB).toFixed(1)} MiB`);
  figures.push(`afterwards  ${proxy.descriptors()} descriptors (before: ${before.descriptors}), memory ${grown < 0 ? '' : '+'}${(grown / MIB).toFixed(1)} MiB`);
  await proxy.stop();

  // The key set, at the first token: the code is not spent on a token that could not be verified.
  for (const fault of FAULTS) {
    idp.fate.set('/jwks', fault);
    const tokens = idp.seen.get('/token') ?? 0;
    const fresh = await tollgate(run, `keys-${fault.replace(' ', '-')}`, options);
    const token = await fresh.machineToken();
    const expected = { latency: [200], 'black hole': [504], drip: [504] }[fault] ?? [502];
    expect(expected.includes(token.status), `key set ${fault}: ${expected}, got ${JSON.stringify(token)}`);
    expect(token.ms < RESPONSE + 500 + SLACK, `key set ${fault}: in time, took ${token.ms} ms`);
    expect(token.status === 200 || (idp.seen.get('/token') ?? 0) === tokens, `key set ${fault}: the provider is not asked for a token`);
    const page = await fresh.get('/page');
    expect(page.status === 200, `key set ${fault}: other requests pass, got ${JSON.stringify(page)}`);
    idp.fate.clear();
    const back = await until('the keys are fetched again', async () => (await fresh.machineToken()).status === 200, 15_000);
    idp.fate.set('/jwks', fault);
    expect((await fresh.machineToken()).status === 200, `key set ${fault}: the keys at hand are used`);
    idp.fate.clear();
    await fresh.stop();
    figures.push(`key set     ${fault.padEnd(11)} first token ${token.status} in ${token.ms.toFixed(0)} ms, back after ${(back / 1000).toFixed(1)} s`);
  }
  for (const each of [up, out, idp, endpoint]) each.close();
  return figures;
}

/** A record's members, those of its entry among them. */
function flat(record) {
  return { ...record, ...record.entry, ...(record.consultations?.[0] ?? {}) };
}
