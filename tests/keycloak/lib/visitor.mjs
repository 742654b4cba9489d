// Somebody with a browser, scripted: cookies, forms and redirects, but every request as we write it.

import { realmName } from '../realm.mjs';
import { paths } from './keycloak.mjs';
import { form, send, urlencoded } from './wire.mjs';

const entities = { amp: '&', quot: '"', apos: "'", lt: '<', gt: '>' };
/** Text as a browser reads it in HTML. */
export const unescapeHtml = (html) => html.replace(/&(?:#(\d+)|(\w+));/g, (whole, code, name) => (code ? String.fromCodePoint(Number(code)) : (entities[name] ?? whole)));

const attribute = (tag, name) => {
  const found = new RegExp(`\\b${name}\\s*=\\s*"([^"]*)"`, 'i').exec(tag);
  return found ? unescapeHtml(found[1]) : undefined;
};

/** The first form of a page: its action as `{ path, query }` and its preset fields. */
export function firstForm(html) {
  const whole = /<form\b[\s\S]*?<\/form>/i.exec(html)?.[0];
  if (!whole) return undefined;
  const action = new URL(attribute(/<form\b[^>]*>/i.exec(whole)[0], 'action') ?? '', 'http://page.invalid');
  const fields = {};
  for (const [tag] of whole.matchAll(/<input\b[^>]*>/gi)) {
    const name = attribute(tag, 'name');
    if (name && /^hidden$/i.test(attribute(tag, 'type'))) fields[name] = attribute(tag, 'value') ?? '';
  }
  return { path: action.pathname, query: action.search.slice(1), fields };
}

/** The values that the inputs with these names have on a page; undefined where one of them is missing. */
export function readFields(html, names) {
  const inputs = new Map([...html.matchAll(/<input\b[^>]*>/gi)].map(([tag]) => [attribute(tag, 'name'), attribute(tag, 'value') ?? '']));
  return names.every((name) => inputs.has(name)) ? Object.fromEntries(names.map((name) => [name, inputs.get(name)])) : undefined;
}

export class Visitor {
  /** The partner's cookies have the same names as those of the realm; all others go with every spelling of a path, as a lenient client's would. */
  agent = 'Mozilla/5.0 (X11; Linux x86_64) Suite/1.0';
  #cookies = { own: new Map(), partner: new Map() };

  /**
   * @param origin the front door, as pages name it; @param canaries where the cookies and codes that pass are remembered;
   * @param via where to connect to, if that is elsewhere
   */
  constructor(origin, canaries, via = origin) {
    Object.assign(this, { origin, canaries, via });
  }

  /** The `Cookie` header for a request to the realm. */
  get cookie() {
    return this.#cookieFor('own');
  }

  /** Takes over somebody's cookies. */
  take(cookie) {
    for (const pair of cookie.split('; ')) this.#cookies.own.set(...pair.split(/=(.*)/s).slice(0, 2));
  }

  #cookieFor(whose) {
    return [...this.#cookies[whose]].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  async send(request) {
    const whose = /\/realms\/[\w-]*partner\//.test(request.target) ? 'partner' : 'own';
    const cookies = this.#cookies[whose];
    const cookie = this.#cookieFor(whose);
    const pairs = Object.entries({ 'User-Agent': this.agent, ...(cookie && { Cookie: cookie }) });
    const given = Array.isArray(request.headers) ? request.headers : Object.entries(request.headers ?? {});
    const answer = await send(this.via, { ...request, headers: [...given, ...pairs], behind: request.behind?.(cookie) });
    for (const line of answer.all('set-cookie')) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      if (/max-age=0/i.test(line)) cookies.delete(name);
      else cookies.set(name, this.canaries.add('cookie', value.replace(/^"|"$/g, '')));
    }
    return answer;
  }

  get(url) {
    const { pathname, search } = new URL(url, this.origin);
    return this.send({ target: pathname + search });
  }

  /** Follows redirects as long as they stay at the front door; the last answer, with `location` where one leads away. */
  async follow(answer) {
    let current = answer;
    for (let hops = 0; hops < 10; hops += 1) {
      const location = current.header('location');
      if (!location || current.status < 300 || current.status > 399) return current;
      const url = new URL(location, this.origin);
      if (url.origin !== this.origin) {
        for (const parameters of [url.searchParams, new URLSearchParams(url.hash.slice(1))]) this.canaries.add('code', parameters.get('code') ?? '');
        return Object.assign(current, { location: url });
      }
      current = await this.get(url.href);
    }
    throw new Error('redirected in a circle');
  }

  async open(url) {
    return this.follow(await this.get(url));
  }

  async submit({ path, query, fields }, values) {
    const body = form({ ...fields, ...values });
    return this.follow(await this.send({ method: 'POST', target: `${path}?${query}`, headers: { 'Content-Type': urlencoded }, body }));
  }

  /** Logs in on the page that an authorization URL leads to; the URL at the relying party that it ends at. */
  async logIn(authorizationUrl, username, password) {
    this.canaries.add('password', password);
    let page = await this.open(authorizationUrl);
    if (page.location) return page.location;
    page = await this.submit(firstForm(page.text), { username });
    if (!page.location && /name="password"/.test(page.text)) page = await this.submit(firstForm(page.text), { username, password });
    if (!page.location) throw new Error(`no way back to the client after the login: ${page.status} ${page.text.replace(/<[^>]*>/g, ' ').replace(/\s+/g, ' ').slice(0, 400)}`);
    return page.location;
  }

  /** The registration form, asked for as `client` with its redirect. */
  async registrationForm(client, redirect, protocol = paths.protocol) {
    const query = form({ client_id: client, redirect_uri: redirect, response_type: 'code', scope: 'openid', state: 'state-of-the-suite' });
    const page = await this.open(`${this.origin}${protocol}/registrations?${query}`);
    const found = firstForm(page.text);
    if (!found) throw new Error(`no registration form: ${page.status} ${page.text.slice(0, 300)}`);
    return found;
  }
}

/** What somebody types into the registration form. */
export function registration(username, password, rest = {}) {
  return { username, email: `${username}@new.example`, firstName: 'New', lastName: 'Comer', password, 'password-confirm': password, ...rest };
}

export { realmName };
