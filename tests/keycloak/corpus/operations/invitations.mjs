// Accounts and memberships that somebody makes for somebody else.

import { multipart } from '../../lib/wire.mjs';
import { admin, realm } from '../ground.mjs';

const newcomer = (ground) => {
  const username = ground.word('i');
  return { username, email: `${username}@new.example`, firstName: 'In', lastName: 'Vited' };
};

/** Somebody who has an account already. */
async function existing(ground) {
  const user = newcomer(ground);
  const { header } = await ground.admin('POST', '/users', { ...user, enabled: true }).then((answer) => ({ header: answer.header('location') }));
  return { ...user, id: header.split('/').at(-1) };
}

async function created(attempts, ground) {
  const found = new Map((await ground.list('/users')).flatMap((user) => [[user.username, user], [user.email, user]]));
  return new Map(attempts.map((attempt) => [attempt, found.get(attempt.subject.username) ?? found.get(attempt.subject.email)]));
}
const mailed = async (attempts, ground) => {
  const before = new Map(attempts.map((attempt) => [attempt, attempt.subject.mails ?? 0]));
  return new Map(attempts.map((attempt) => [attempt, ground.world.mailbox.to(attempt.subject.email).length > before.get(attempt) || undefined]));
};
const joined = async (attempts, ground) => {
  const members = new Set((await ground.list(`/organizations/${ground.organization}/members`)).map(({ id }) => id));
  return new Map(attempts.map((attempt) => [attempt, members.has(attempt.subject.id) || undefined]));
};

const aboutUser = ({ data: { user } }, { effect }) => user.username?.toLowerCase() === effect.username && user.email?.toLowerCase() === effect.email;
const aboutAddress = ({ data: { user } }, { subject }) => user.email?.toLowerCase() === subject.email;
const aboutId = ({ data: { user } }, { subject }) => user.id === subject.id;
const asMultipart = (draft) => {
  const { body, type } = multipart(Object.fromEntries(draft.form));
  return { ...draft, body, type };
};
const slashed = (draft) => ({ ...draft, path: `${draft.path}/` });

/** An operation of an administrator: `draft(subject, ground)` without the authorization. */
const invitation = (name, route, { draft, who = (ground, pass) => ground.administrator(pass), ...rest }) => ({
  name,
  route,
  kind: 'asked',
  trigger: 'PRE_USER_INVITATION',
  draft: async (subject, ground, pass) => ({ method: 'POST', headers: [await who(ground, pass)], ...draft(subject, ground) }),
  ...rest,
});
const organization = (ground, path) => `${admin}/organizations/${ground.organization}${path}`;

export const invitations = [
  invitation('create user', 'create-user', {
    prepare: async (ground) => newcomer(ground),
    draft: (user) => ({ path: `${admin}/users`, json: { ...user, enabled: true }, key: 'email', decoy: 'decoy@new.example' }),
    happened: created,
    identity: aboutUser,
    plain: { 'with the console\'s trailing slash': slashed },
    depth: { pairs: 6 },
  }),
  invitation('partial import', 'partial-import', {
    prepare: async (ground) => newcomer(ground),
    draft: (user) => ({ path: `${admin}/partialImport`, json: { ifResourceExists: 'SKIP', users: [{ ...user, enabled: true }] }, key: 'users', decoy: [] }),
    happened: created,
    identity: aboutUser,
    depth: { limit: 80 },
  }),
  invitation('import realm', 'import-realm', {
    prepare: async (ground) => ({ ...newcomer(ground), realm: ground.word('r') }),
    draft: ({ realm: name, ...user }) => ({ path: '/admin/realms', json: { realm: name, enabled: true, users: [user] }, key: 'users', decoy: [], deadline: 90_000 }),
    who: (ground, pass) => ground.master(pass),
    happened: imported,
    identity: aboutUser,
    abreast: 1,
    depth: { limit: 5 },
  }),
  invitation('SCIM', 'scim-create-user', {
    prepare: async (ground) => newcomer(ground),
    draft: (user) => ({
      path: `${realm}/scim/v2/Users`,
      json: { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: user.username, emails: [{ value: user.email, primary: true }], name: { givenName: 'In', familyName: 'Vited' }, active: true },
      key: 'userName',
      decoy: 'decoy',
    }),
    who: (ground, pass) => ground.machine(pass, 'svc'),
    happened: created,
    identity: aboutUser,
    depth: { limit: 80 },
  }),
  invitation('invite to an organization', 'invite-to-organization', {
    prepare: async (ground) => newcomer(ground),
    draft: ({ email }, ground) => ({ path: organization(ground, '/members/invite-user'), form: Object.entries({ email, firstName: 'In', lastName: 'Vited' }), key: 'email', decoy: 'decoy@new.example' }),
    happened: mailed,
    identity: aboutAddress,
    plain: { 'as multipart': asMultipart },
    depth: { limit: 80 },
  }),
  invitation('invite somebody who has an account', 'invite-existing-user', {
    prepare: existing,
    draft: ({ id }, ground) => ({ path: organization(ground, '/members/invite-existing-user'), form: [['id', id]], key: 'id', decoy: 'x' }),
    happened: mailed,
    identity: aboutId,
    depth: { limit: 40 },
  }),
  invitation('add a member', 'add-organization-member', {
    prepare: existing,
    draft: ({ id }, ground) => ({ path: organization(ground, '/members'), json: id }),
    happened: joined,
    identity: aboutId,
    depth: { limit: 40 },
  }),
  invitation('resend an invitation', 'resend-invitation', {
    prepare: invited,
    draft: ({ invitation: id }, ground) => ({ path: organization(ground, `/invitations/${id}/resend`) }),
    happened: mailed,
    identity: ({ data }, _, ground) => data.organization.id === ground.organization,
    depth: { limit: 40 },
  }),
  ...['execute-actions-email', 'reset-password-email', 'send-verify-email'].map((step) =>
    invitation(step.replaceAll('-', ' '), step, {
      prepare: existing,
      draft: ({ id }) => ({ method: 'PUT', path: `${admin}/users/${id}/${step}`, ...(step === 'execute-actions-email' && { json: ['UPDATE_PASSWORD'] }) }),
      happened: mailed,
      identity: aboutId,
      depth: { limit: 40 },
    }),
  ),
];

/** Somebody who has an invitation, which sent one mail. */
async function invited(ground) {
  const user = newcomer(ground);
  const path = `/organizations/${ground.organization}`;
  await ground.keycloak.inviteTo(`corpus${path}`, user.email);
  const found = (await ground.admin('GET', `${path}/invitations?email=${encodeURIComponent(user.email)}`)).json.find(({ email }) => email === user.email);
  return { ...user, invitation: found.id, mails: 1 };
}

/** The realms that were made, with who is in them. */
async function imported(attempts, ground) {
  const found = new Map();
  for (const attempt of attempts) {
    const answer = await ground.keycloak.admin('GET', `/${attempt.subject.realm}/users?max=10`);
    if (answer.status !== 200) continue;
    found.set(attempt, answer.json[0]);
    await ground.keycloak.admin('DELETE', `/${attempt.subject.realm}`);
  }
  return found;
}
