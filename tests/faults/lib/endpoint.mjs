// Endpoints in a thread of their own, so that who makes the load does not slow them: one that takes every connection and says nothing, and one
// that allows everything.

import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads';

const ALLOW = '{"decision":"ALLOW"}';
const kinds = {
  silent: () => net.createServer((socket) => socket.on('error', () => {}).resume()),
  allowing: () =>
    http.createServer({ keepAliveTimeout: 60_000 }, (request, answer) => {
      request.resume().on('end', () => answer.writeHead(200, { 'content-type': 'application/json', 'content-length': ALLOW.length }).end(ALLOW));
    }),
};

if (!isMainThread) {
  const server = kinds[workerData]();
  server.listen({ port: 0, host: '127.0.0.1', backlog: 8192 }, () => parentPort.postMessage(server.address().port));
}

/** `{ port, close }` of a `silent` or an `allowing` endpoint. */
export async function endpoint(kind) {
  const worker = new Worker(new URL(import.meta.url), { workerData: kind });
  const [port] = await once(worker, 'message');
  return { port, close: () => worker.terminate() };
}
