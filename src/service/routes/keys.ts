import { type Key, type NewKey, type NewKeyType, type OfficerToken, TokenError } from "../../tokens/index.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import type { App } from "../app.ts";
import { type Call, type Outcome, pem, type Service } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import type { ServedKey, ServedToken } from "../directory.ts";
import { pageOf } from "../page.ts";
import { ServiceError } from "../problem.ts";
import { requestFor } from "../requests.ts";
import {
  AttestationSchema,
  ImportBody,
  KeyParameters,
  KeySchema,
  listOf,
  NewKeyBody,
  PageQuery,
  RequestBody,
  RequestSchema,
  TokenKeyParameters,
  TokenParameters,
} from "../schemas.ts";

const PEM = "application/x-pem-file";
const JWK = "application/jwk+json";

/** Private keys as resources: listed, made, deleted, attested; and requests for certificates. */
export function addKeys(app: App, service: Service): void {
  app.get(
    "/v1/tokens/:token/keys",
    {
      schema: {
        ...described("listKeys", "The private keys of a token", "view"),
        params: TokenParameters,
        querystring: PageQuery,
        response: answers(listOf(KeySchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const served = await service.token(call, request.params.token, "view");
        const keys = (await service.directory.keys(served, { signal: call.signal })).filter(({ fingerprint }) =>
          call.client.may("view", served.info, fingerprint),
        );
        const page = pageOf(keys, ({ fingerprint }) => fingerprint, request, reply);
        return { body: { items: await Promise.all(page.map((one) => keyJson(one, call))) } };
      }),
  );

  app.get(
    "/v1/keys/:key",
    {
      schema: {
        ...described("getKey", "A key, as JSON, as a JSON Web Key or as PEM", "view"),
        params: KeyParameters,
        response: answers(KeySchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const [first] = await service.holders(call, request.params.key, "view");
        if (!first) throw new TokenError("NO_OBJECT", "the key is not on a token");
        const { accept = "" } = request.headers;
        if (accept.includes(PEM)) return { bytes: { type: PEM, content: first.publicKey.toPem() } };
        if (accept.includes(JWK)) return { bytes: { type: JWK, content: JSON.stringify(first.publicKey.toJwk()) } };
        return { body: await keyJson(first, call) };
      }),
  );

  app.post(
    "/v1/tokens/:token/keys",
    {
      schema: {
        ...described("generateKey", "Have the token make a key pair", "issue", { repeats: "required" }),
        params: TokenParameters,
        body: NewKeyBody,
        response: answers(KeySchema, 201),
      },
    },
    (request, reply) => {
      const wanted = newKey(request.body);
      return make(service, request, reply, "generate-key", wanted, ({ keys }, call) =>
        keys.generate(wanted, { signal: call.signal }),
      );
    },
  );

  app.post(
    "/v1/tokens/:token/keys/import",
    {
      schema: {
        ...described("importKey", "Write a private key to the token", "issue", { repeats: "required" }),
        params: TokenParameters,
        body: ImportBody,
        response: answers(KeySchema, 201),
      },
    },
    (request, reply) => {
      const { jwk, ...place } = request.body;
      return make(service, request, reply, "import-key", place, ({ keys }, call) =>
        keys.import(jwk, { ...(place as NewKey), signal: call.signal }),
      );
    },
  );

  app.delete(
    "/v1/tokens/:token/keys/:key",
    {
      schema: {
        ...described("deleteKey", "Delete a private key; its certificate stays", "manage"),
        params: TokenKeyParameters,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token, key } = request.params;
      return service.perform(request, reply, { operation: "delete-key", token, key }, "kept", async (call) => {
        const found = await service.keyOn(call, token, key, "manage");
        await orAsOfficer(service, found.served, call, (one) => one.keys.delete(found.key, { signal: call.signal }));
        service.changed("key.deleted", found.served, { key });
        return { status: 204 };
      });
    },
  );

  app.post(
    "/v1/tokens/:token/keys/:key/attest",
    {
      schema: {
        ...described("attest", "Have the card prove that it made the key", "view"),
        params: TokenKeyParameters,
        response: answers(AttestationSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const { key } = await service.keyOn(call, request.params.token, request.params.key, "view");
        const { certificate, chain } = await key.attest({ signal: call.signal });
        return { body: { certificate: pem(certificate), chain: chain.map(pem) } };
      }),
  );

  app.post(
    "/v1/tokens/:token/keys/:key/request",
    {
      schema: {
        ...described("requestCertificate", "A request for a certificate (PKCS #10), signed by the key", "issue"),
        params: TokenKeyParameters,
        body: RequestBody,
        response: answers(RequestSchema),
      },
    },
    (request, reply) => {
      const { token, key } = request.params;
      return service.perform(request, reply, { operation: "request", token, key }, "kept", async (call) => {
        const found = await service.keyOn(call, token, key, "issue");
        return { body: { request: await requestFor(found, request.body, call.signal) } };
      });
    },
  );
}

/**
 * Makes a key once, also if its card went or the deadline passed before the card's answer came: the repeat looks for the key that was not there
 * before.
 * @throws {ServiceError} FORBIDDEN for a client that may not delete the key which it replaces.
 */
function make(
  service: Service,
  request: FastifyRequest<{ Params: { readonly token: string } }>,
  reply: FastifyReply,
  operation: string,
  { replace, reference }: NewKey,
  work: (token: Pick<OfficerToken, "keys">, call: Call) => Promise<Key>,
): Promise<FastifyReply> {
  const { token } = request.params;
  let before: ReadonlySet<string> | undefined;
  const find = async (call: Call): Promise<ServedToken> => {
    const served = await service.token(call, token, "issue");
    if (replace) call.client.require("manage", served.info);
    return served;
  };
  const created = async (one: ServedKey, call: Call): Promise<Outcome> => {
    const { fingerprint, served } = one;
    service.made.add(fingerprint);
    service.changed("key.created", served, { key: fingerprint });
    return { status: 201, location: `/v1/tokens/${token}/keys/${fingerprint}`, body: await keyJson(one, call) };
  };
  return service.perform(
    request,
    reply,
    { operation, token },
    "kept",
    async (call) => {
      const served = await find(call);
      before = new Set(
        (await service.directory.keys(served, { signal: call.signal })).map(({ fingerprint }) => fingerprint),
      );
      try {
        const key = await orAsOfficer(service, served, call, (one) => work(one, call));
        const publicKey = await key.publicKey({ signal: call.signal });
        return await created({ fingerprint: publicKey.fingerprint(), key, publicKey, served }, call);
      } finally {
        service.directory.forget(served);
      }
    },
    async (call) => {
      const served = await find(call);
      service.directory.forget(served);
      const keys = await service.directory.keys(served, { signal: call.signal });
      const others = keys.filter(({ fingerprint }) => !service.made.has(fingerprint) && !before?.has(fingerprint));
      const [only, second] = others.filter(({ key }) => reference === undefined || key.reference === reference);
      return before && only && !second ? created(only, call) : undefined;
    },
  );
}

/** @throws {ServiceError} BAD_INPUT for fields that the key's type does not have. */
function newKey(body: {
  readonly type: "rsa" | "ec" | "ed25519" | "x25519";
  readonly bits?: number;
  readonly curve?: string;
}): NewKey & NewKeyType {
  const { type, bits, curve, ...place } = body;
  if ((type === "rsa") !== (bits !== undefined) || (type === "ec") !== (curve !== undefined)) {
    throw new ServiceError("BAD_INPUT", "a key of type rsa has bits, one of type ec a curve, and the others neither");
  }
  return { ...place, type, ...(bits !== undefined && { bits }), ...(curve !== undefined && { curve }) } as NewKey &
    NewKeyType;
}

/**
 * Does what the user may do on some cards, and the officer on others: as the user first, and where the card refuses that, as the officer whose
 * PIN the configuration names.
 */
export async function orAsOfficer<T>(
  service: Service,
  { token, info }: ServedToken,
  { signal }: Call,
  work: (token: Pick<OfficerToken, "keys" | "certificates" | "data">) => Promise<T>,
): Promise<T> {
  try {
    return await work(token);
  } catch (error) {
    if (!(error instanceof TokenError && error.is("CKR_USER_NOT_LOGGED_IN"))) throw error;
    const officer = await token.asOfficer(await service.secrets.officerPin(info), { signal });
    try {
      return await work(officer);
    } finally {
      await officer[Symbol.asyncDispose]();
    }
  }
}

async function keyJson({ fingerprint, key, publicKey, served }: ServedKey, { signal }: Call): Promise<object> {
  const { id, label, reference } = key;
  return {
    key: fingerprint,
    token: served.name,
    id,
    label,
    ...(reference !== undefined && { reference }),
    algorithm: publicKey.algorithm,
    uri: await key.uri({ signal }),
    jwk: publicKey.toJwk(),
  };
}
