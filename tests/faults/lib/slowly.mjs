// Clients that send a byte a second, in a thread of their own so that whoever measures is not slowed by them.

import net from 'node:net';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';

if (!isMainThread) {
  const { port, kinds } = workerData;
  const lives = {};
  const ends = [];
  for (const { name, begin, rest, count } of kinds) {
    lives[name] = [];
    for (let i = 0; i < count; i += 1) {
      ends.push(client(port, begin, rest).then((ms) => lives[name].push(ms)));
      if (i % 100 === 99) await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
  parentPort.postMessage('begun');
  await Promise.all(ends);
  parentPort.postMessage(lives);
}

/** The milliseconds from the connection to its end. */
function client(port, begin, rest) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    let [began, sent, timer] = [performance.now(), 0];
    socket.on('connect', () => {
      began = performance.now();
      socket.write(begin);
      timer = setInterval(() => socket.write(rest[sent++ % rest.length]), 1000);
    });
    socket.on('error', () => {}).resume();
    socket.on('close', () => {
      clearInterval(timer);
      resolve(performance.now() - began);
    });
  });
}
