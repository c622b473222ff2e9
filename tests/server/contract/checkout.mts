// The ten requests of docs/api.md with a client whose types are generated from /openapi.json.
import { deepStrictEqual as equal } from 'node:assert';
import { randomUUID } from 'node:crypto';
import createClient from 'openapi-fetch';
import type { components, paths } from './schema.js';

const { CODEMINT_API_URL, CODEMINT_KEY } = process.env;
const api = createClient<paths>({ baseUrl: CODEMINT_API_URL, headers: { Authorization: `Bearer ${CODEMINT_KEY}` } });

type Answer<Data> = { data?: Data; error?: components['schemas']['Problem']; response: Response };

function granted<Data>({ data, error, response }: Answer<Data>, status: number): Data {
  equal([response.status, error], [status, undefined]);
  return data!;
}

const created = granted(
  await api.PUT('/v1/campaigns/{name}', {
    params: { path: { name: 'spring' } },
    body: {
      title: 'Ten percent off',
      kind: 'public',
      mask: 'SPRING10',
      active: true,
      limits: { per_identity: 1 },
      discount: { effect: { type: 'percent', basis_points: 1000 }, target: { type: 'order' } },
    },
  }),
  201,
);
equal([created.status, created.version, created.counts.codes], ['active', 1, 1]);

const request = {
  code: 'spring10',
  identity: 'customer-17',
  order: 'A-1001',
  cart: { currency: 'EUR', lines: [{ sku: 'DOG-1', quantity: 2, unit_amount: 1999 }] },
};
const verdict = granted(await api.POST('/v1/validations', { body: request }), 200);
// The constant `valid` tells the two shapes of a verdict apart.
if (!verdict.valid) throw new Error(verdict.reasons[0]?.message);
equal([verdict.discount?.amount, verdict.remaining.identity], [400, 1]);

const [first, second, third] = [randomUUID(), randomUUID(), randomUUID()].map((id) => ({ params: { path: { id } } }));
const held = { ...request, hold_seconds: 1800 };
equal(granted(await api.PUT('/v1/redemptions/{id}', { ...first!, body: held }), 201).state, 'held');
equal(granted(await api.POST('/v1/redemptions/{id}/release', first!), 200).state, 'released');
equal(granted(await api.PUT('/v1/redemptions/{id}', { ...second!, body: held }), 201).discount?.amount, 400);
equal(granted(await api.POST('/v1/redemptions/{id}/confirm', { ...second!, body: {} }), 200).state, 'confirmed');
equal(granted(await api.PUT('/v1/redemptions/{id}', { ...second!, body: held }), 200).state, 'confirmed');

const refused = await api.PUT('/v1/redemptions/{id}', { ...third!, body: { ...request, order: 'A-1002' } });
equal([refused.response.status, refused.error?.code], [422, 'identity-limit-reached']);
equal(refused.error?.reasons?.[0]?.code, 'identity-limit-reached');

equal(granted(await api.POST('/v1/redemptions/{id}/rollback', { ...second!, body: {} }), 200).state, 'rolled_back');
const read = granted(await api.GET('/v1/redemptions/{id}', second!), 200);
equal([read.state, read.order, read.keep_use], ['rolled_back', 'A-1001', false]);
console.log('ten requests');
