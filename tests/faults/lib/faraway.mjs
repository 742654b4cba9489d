// The provider, the interceptors' endpoint and the wires to them, in a thread of their own so that who makes the load does not slow them.

import { once } from 'node:events';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

import { hook, provider } from './provider.mjs';
import { wire } from './wire.mjs';

if (!isMainThread) {
  const [idp, endpoint] = [await provider(), await hook()];
  const wires = { up: await wire(idp.port), out: await wire(endpoint.port) };
  endpoint.delay = workerData.delay;
  parentPort.on('message', async ({ issuer, where, fault }) => {
    if (issuer) idp.issuer = issuer;
    else await wires[where].set(fault);
    parentPort.postMessage('done');
  });
  parentPort.postMessage({ up: wires.up.port, out: wires.out.port });
}

/**
 * `{ up, out, set, use, close }`: the ports of the wires to the provider and to the endpoint, which answers after `delay` ms;
 * `set(where, fault)` spoils one; `use` is what the thread was busy since it was last asked, from 0 to 1.
 */
export async function faraway(delay) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { delay } });
  const [{ up, out }] = await once(worker, 'message');
  const tell = async (message) => {
    worker.postMessage(message);
    await once(worker, 'message');
  };
  return {
    up,
    out,
    provider: { set issuer(issuer) { worker.postMessage({ issuer }); } },
    set: (where, fault) => tell({ where, fault }),
    use: usage(worker.performance),
    close: () => worker.terminate(),
  };
}

/** A function that says how busy an event loop was since the last call. */
export function usage({ eventLoopUtilization }) {
  let last = eventLoopUtilization();
  return () => {
    const now = eventLoopUtilization();
    const { utilization } = eventLoopUtilization(now, last);
    last = now;
    return utilization;
  };
}
