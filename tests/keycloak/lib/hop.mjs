// A transparent hop between Tollgate and Keycloak that keeps what passes: what the upstream was really asked and what it really answered.

import { once } from 'node:events';
import http from 'node:http';

export class Hop {
  /** `{ method, target, headers, body, status, location, answer }` in the order of arrival. */
  exchanges = [];

  static async open(upstream) {
    const hop = new Hop();
    const { hostname, port } = new URL(upstream);
    const agent = new http.Agent({ keepAlive: true });
    hop.agent = agent;
    hop.server = http.createServer({ maxHeaderSize: 128 * 1024 }, (request, response) => {
      const exchange = { method: request.method, target: request.url, headers: request.headers };
      hop.exchanges.push(exchange);
      const sent = [];
      const onward = http.request(
        { agent, hostname, port, method: request.method, path: request.url, headers: request.rawHeaders },
        (answer) => {
          const got = [];
          response.writeHead(answer.statusCode, answer.rawHeaders);
          answer.on('data', (chunk) => {
            got.push(chunk);
            response.write(chunk);
          });
          answer.on('end', () => {
            Object.assign(exchange, { status: answer.statusCode, location: answer.headers.location, answer: Buffer.concat(got).toString('utf8') });
            response.end();
          });
        },
      );
      onward.on('error', () => response.destroy());
      request.on('data', (chunk) => {
        sent.push(chunk);
        onward.write(chunk);
      });
      request.on('end', () => {
        exchange.body = Buffer.concat(sent).toString('utf8');
        onward.end();
      });
    });
    hop.server.listen(0, '127.0.0.1');
    await once(hop.server, 'listening');
    return hop;
  }

  get url() {
    return `http://127.0.0.1:${this.server.address().port}`;
  }

  /** The JSON answers of Keycloak's token endpoint since `mark`, the length of `exchanges` at an earlier time. */
  tokens(mark = 0) {
    return this.exchanges
      .slice(mark)
      .filter(({ target, status }) => /\/protocol\/openid-connect\/token\/?($|\?)/.test(target) && status === 200)
      .map(({ answer }) => JSON.parse(answer));
  }

  close() {
    this.server.closeAllConnections();
    this.server.close();
    this.agent.destroy();
  }
}
