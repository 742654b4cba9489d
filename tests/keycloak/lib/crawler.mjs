// Walks over everything that the documents, consoles and scripts of a Keycloak name, as several people, and shows every answer to a watcher.

import { unescapeHtml } from './visitor.mjs';
import { form, urlencoded } from './wire.mjs';

/** What a request must not do: end the sessions that the crawl goes on with, change a secret, take something away. */
const destructive = /logout|sign-?out|secret|rotat|regenerate|registration-access-token|push-revocation|not-before|generate$|generate-and|reset|disable|clear|remove|delete|unlink|leave|move|initial-access|nodes|brute-force|sessions|consents|impersonation/i;

/** What consoles are made of: the same bytes for everybody, and of every realm. */
export const isAsset = (path) => path.startsWith('/resources/');

/** Requests that are under way together. */
const atOnce = 8;

const segment = /\{(\w+)\}/g;

/** The API of the admin console, as its client library has it: classes with a base path and requests relative to it. */
export function adminRequests(script) {
  return script.split(/\bclass \w+ extends /).flatMap((one) => {
    const base = /super\(\w+,\{path:"(\/[^"]*)"/.exec(one)?.[1];
    if (!base) return [];
    return [...one.matchAll(/make(?:Update)?Request\(\{method:"(\w+)"(?:,path:"([^"]*)")?/g)].map(([, method, path = '']) => ({ method, template: `${base}/${path}`.replace(/\/+/g, '/').replace(/(.)\/$/, '$1') }));
  });
}

/** Further paths of the admin API that scripts put together, their variables as `{x}`. */
export function composedPaths(script) {
  const named = [...script.matchAll(/[`"]\/?(ui-ext\/[^`"]*)[`"]/g)].map(([, path]) => `/admin/realms/{realm}/${path}`);
  const whole = [...script.matchAll(/`(?:\$\{[^`]*?\})?\/?(admin\/realms\/[^`]*)`/g)].map(([, path]) => `/${path}`);
  return [...named, ...whole].map((path) => path.replace(/\$\{encodeURIComponent\(\w+\)\}|\$\{[^}]*\}/g, '{x}').replace('/realms/{x}', '/realms/{realm}').replace(/[?$].*$/, ''));
}

/** Paths below the account console's own that its scripts ask for. */
export function accountPaths(script) {
  return [...script.matchAll(/[`"](\/[a-z][\w/-]*(?:\$\{[^`"]*\}[\w/-]*)?)[`"]/g)].map(([, path]) => path.replace(/\$\{[^}]*\}?/g, '{x}').replace(/[^\w/{}-].*$/, '')).filter((path) => !path.startsWith('/protocol'));
}

export class Crawler {
  /** By `METHOD /template`: what statuses were answered. */
  endpoints = new Map();
  answers = 0;
  #queue = [];
  #seen = new Set();
  #assets = new Set();
  #left;

  /**
   * @param origin the front door
   * @param people `{ name, send(request) }`: everybody who asks
   * @param options `{ values, watch, most }`: `values` fill the variables of a path by the segment before them, `watch(answer, request)` sees every
   *   answer, `most` bounds the requests of one person
   */
  constructor(origin, people, { values, watch, most }) {
    Object.assign(this, { origin, people, values, watch });
    this.#left = new Map(people.map(({ name }) => [name, most]));
  }

  /** A template with its variables filled in; those that nobody knows are `1`. */
  fill(template) {
    const parts = template.split('/');
    return parts.map((part, i) => part.replace(segment, (_, name) => encodeURIComponent(this.values[`${parts[i - 1]}/${name}`] ?? this.values[parts[i - 1]] ?? this.values[name] ?? '1'))).join('/');
  }

  /** Asks for something as everybody. */
  add(method, template, { headers, body, depth = 0 } = {}) {
    for (const person of this.people) this.#push(person, { method, template, target: this.fill(template), headers, body, depth });
  }

  #push(person, request) {
    const path = request.target.split('?')[0];
    if (isAsset(path)) {
      // Everybody gets the same of these: whoever comes first asks.
      if (this.#assets.has(path)) return;
      this.#assets.add(path);
    }
    const key = `${person.name} ${request.method} ${request.target.replace(/(state|nonce|session_code|tab_id|client_data|execution|code_challenge|code|nocache|session_state)=[^&]*/g, '$1')} ${request.body ?? ''}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.#queue.push({ person, request });
  }

  /** Walks breadth-first, some requests at a time, until nothing is left or everybody has asked `most` times. */
  async run() {
    while (this.#queue.length) await Promise.all(this.#queue.splice(0, atOnce).map((next) => this.#ask(next)));
  }

  async #ask({ person, request }) {
    const left = this.#left.get(person.name);
    if (left === 0) return;
    this.#left.set(person.name, left - 1);
    const answer = await person.send(request);
    this.answers += 1;
    const endpoint = `${request.method} ${(request.template ?? request.target).split('?')[0]}`;
    if (!this.endpoints.has(endpoint)) this.endpoints.set(endpoint, new Set());
    this.endpoints.get(endpoint).add(answer.status);
    this.watch(answer, request, person);
    for (const found of this.#links(answer, request)) this.#push(person, { depth: request.depth + 1, ...found });
  }

  /** Where an answer leads, at the front door. */
  #links(answer, { target, depth }) {
    if (depth >= 4) return [];
    const at = (link) => {
      const url = URL.canParse(link, this.origin + target) ? new URL(link, this.origin + target) : undefined;
      return url?.origin === this.origin ? url.pathname + url.search : undefined;
    };
    const type = answer.header('content-type') ?? '';
    const gets = [answer.header('location')];
    const posts = [];
    if (type.includes('javascript')) {
      const scripts = [...answer.text.matchAll(/"((?:\.\/|assets\/)[\w.-]+\.js)"/g)].map(([, name]) => name.replace(/^(\.\/|assets\/)/, './'));
      const api = isAsset(target) && target.includes('/admin/') ? composedPaths(answer.text) : [];
      const account = isAsset(target) && target.includes('/account/') && target.includes('main') ? accountPaths(answer.text).map((path) => `/realms/{realm}/account${path}`) : [];
      for (const { method, template } of target.includes('/admin/') ? adminRequests(answer.text) : []) {
        if (method === 'GET') this.add('GET', template.includes('generate-example') ? `${template}?scope=openid&userId={userId}` : template, { depth: depth + 1 });
        // A document that makes nothing: what is answered is looked at all the same.
        if (method === 'POST' && !destructive.test(template)) this.add('POST', template, { headers: { 'Content-Type': 'application/json' }, body: '[]', depth: depth + 1 });
      }
      for (const template of [...api, ...account]) this.add('GET', template, { depth: depth + 1 });
      gets.push(...scripts);
    } else if (type.includes('html')) {
      for (const [, name, link] of answer.text.matchAll(/\b(href|src|action)\s*=\s*"([^"]*)"/gi)) {
        (name.toLowerCase() === 'action' ? posts : gets).push(unescapeHtml(link));
      }
      for (const [link] of answer.text.matchAll(/https?:\/\/[^\s"'<>\\]+/g)) gets.push(unescapeHtml(link));
    } else if (type.includes('json')) {
      for (const [, link] of answer.text.matchAll(/"((?:https?:\/\/|\/(?:realms|admin|resources)\/)[^"\\]+)"/g)) gets.push(link);
    }
    return [
      ...gets.filter(Boolean).map((link) => ({ method: 'GET', target: at(link) })),
      ...posts.map((link) => ({ method: 'POST', target: at(link), headers: { 'Content-Type': urlencoded }, body: form({}) })),
    ].filter(({ target: found }) => found && !destructive.test(found));
  }

  /** What was walked over, for people. */
  summary() {
    const answered = [...this.endpoints.values()].filter((statuses) => [...statuses].some((status) => status < 400)).length;
    return `${this.endpoints.size} endpoints, ${answered} of which answered somebody, in ${this.answers} answers`;
  }
}
