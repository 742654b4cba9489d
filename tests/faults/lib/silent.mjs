// An endpoint that takes every connection and says nothing, in a thread of its own.

import { once } from 'node:events';
import net from 'node:net';
import { Worker, isMainThread, parentPort } from 'node:worker_threads';

if (!isMainThread) {
  const server = net.createServer((socket) => socket.on('error', () => {}).resume());
  server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => parentPort.postMessage(server.address().port));
}

/** `{ port, close }`. */
export async function silent() {
  const worker = new Worker(new URL(import.meta.url));
  const [port] = await once(worker, 'message');
  return { port, close: () => worker.terminate() };
}
