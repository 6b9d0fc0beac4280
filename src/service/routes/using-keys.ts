import { fromBase64Url, toBase64Url, wipe } from "../../bytes/index.ts";
import { type Key, PublicKey, TokenError } from "../../tokens/index.ts";
import { algorithmFor, type JwsAlgorithm } from "../../formats/index.ts";
import { type Call, type Outcome, pem, type Service } from "../call.ts";
import type { App } from "../app.ts";
import type { ServedKey } from "../directory.ts";
import { ServiceError, problemOf } from "../problem.ts";
import {
  BatchBody,
  BatchSchema,
  DecryptBody,
  DecryptedSchema,
  DeriveBody,
  DerivedSchema,
  KeyParameters,
  SignatureSchema,
  UnwrapBody,
  UnwrappedSchema,
  SignBody,
  type Signed,
  type SignInput,
  SignQuery,
  VerifiedSchema,
  VerifyBody,
} from "../schemas.ts";
import { answers, described, OCTETS, octets } from "../descriptions.ts";

/** Operations with a private key, on any card that has it. */
export function addUsingKeys(app: App, service: Service): void {
  app.post(
    "/v1/keys/:key/sign",
    {
      schema: {
        ...described("sign", "Sign data, or a digest that was made elsewhere", "use", { repeats: true }),
        params: KeyParameters,
        querystring: SignQuery,
        body: { content: { "application/json": { schema: SignBody }, [OCTETS]: { schema: octets } } },
        response: answers(SignatureSchema),
      },
    },
    (request, reply) => {
      const { key } = request.params;
      return service.perform(request, reply, { operation: "sign", key }, "kept", async (call) => {
        const input = signInput(request.body as SignInput | Uint8Array | undefined, request.query.alg);
        const signed = await sign(service, call, key, input);
        if (!request.headers.accept?.includes(OCTETS)) return { body: signed };
        return { bytes: { type: OCTETS, content: fromBase64Url(signed.signature) } };
      });
    },
  );

  app.post(
    "/v1/keys/:key/verify",
    {
      schema: {
        ...described("verify", "Verify a signature with the public key, without the card", "view"),
        params: KeyParameters,
        body: VerifyBody,
        response: answers(VerifiedSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const { alg, data, signature } = request.body;
        const [{ publicKey }] = await allowed(service, call, request.params.key, "view");
        const { scheme } = algorithmFor(publicKey.algorithm, alg);
        return { body: { valid: await publicKey.verify(bytesOf(data), bytesOf(signature), scheme) } };
      }),
  );

  app.post(
    "/v1/keys/:key/decrypt",
    {
      schema: {
        ...described("decrypt", "Decrypt a short message with an RSA key", "use"),
        params: KeyParameters,
        body: DecryptBody,
        response: answers(DecryptedSchema),
      },
    },
    (request, reply) => {
      const { key } = request.params;
      return service.perform(request, reply, { operation: "decrypt", key }, "secret", (call) => {
        const { data, padding, hash, label } = request.body;
        const options = {
          ...(padding && { padding }),
          ...(hash && { hash }),
          ...(label !== undefined && { label: bytesOf(label) }),
        };
        return secretOf(service, call, key, "data", (one) =>
          one.decrypt(bytesOf(data), { ...options, signal: call.signal }),
        );
      });
    },
  );

  app.post(
    "/v1/keys/:key/unwrap",
    {
      schema: {
        ...described("unwrap", "Decrypt a secret key that was encrypted for an RSA key", "use"),
        params: KeyParameters,
        body: UnwrapBody,
        response: answers(UnwrappedSchema),
      },
    },
    (request, reply) => {
      const { key } = request.params;
      return service.perform(request, reply, { operation: "unwrap", key }, "secret", (call) => {
        const { wrapped, ...wanted } = request.body;
        const { signal } = call;
        return secretOf(service, call, key, "secret", async (one) => {
          await using secret = await one.unwrap(bytesOf(wrapped), {
            ...wanted,
            extractable: true,
            signal,
          });
          return await secret.export({ signal });
        });
      });
    },
  );

  app.post(
    "/v1/keys/:key/derive",
    {
      schema: {
        ...described("derive", "Agree on a secret with another party's public key (ECDH, X25519)", "use"),
        params: KeyParameters,
        body: DeriveBody,
        response: answers(DerivedSchema),
      },
    },
    (request, reply) => {
      const { key } = request.params;
      return service.perform(request, reply, { operation: "derive", key }, "secret", (call) => {
        const peer = new PublicKey(request.body.publicKey);
        return secretOf(service, call, key, "secret", (one) => one.deriveSecret(peer, { signal: call.signal }));
      });
    },
  );

  app.post(
    "/v1/batch",
    {
      schema: {
        ...described("batch", "Sign up to a hundred times: a signature or a problem for each", "use", {
          repeats: true,
        }),
        body: BatchBody,
        response: answers(BatchSchema),
      },
    },
    (request, reply) =>
      service.perform(request, reply, { operation: "batch" }, "kept", async (call) => {
        const one = async ({ key, ...input }: (typeof request.body.operations)[number]): Promise<object> => {
          try {
            const subject = { operation: "sign", key };
            return await service.audited(request, call.client, subject, () => sign(service, call, key, input));
          } catch (error) {
            call.signal.throwIfAborted();
            return { ...problemOf(error), instance: call.id };
          }
        };
        return { body: { results: await Promise.all(request.body.operations.map(one)) } };
      }),
  );
}

async function sign(service: Service, call: Call, key: string, input: SignInput): Promise<Signed> {
  const { signal } = call;
  const { alg } = input;
  const data = input.data === undefined ? undefined : bytesOf(input.data);
  const digest = input.digest === undefined ? undefined : bytesOf(input.digest);
  return service.workload.run(await allowed(service, call, key, "use"), async ({ key: one, publicKey, served }) => {
    const scheme = { ...algorithmFor(publicKey.algorithm, alg).scheme, signal };
    const signature = digest ? await one.signDigest(digest, scheme) : await one.sign(data ?? new Uint8Array(), scheme);
    const certificate = await certificateOf(one, signal);
    return {
      signature: toBase64Url(signature),
      alg,
      key,
      token: served.name,
      ...(certificate && { certificate: pem(certificate) }),
      request: call.id,
    };
  });
}

async function allowed(
  service: Service,
  call: Call,
  key: string,
  role: "use" | "view",
): Promise<readonly [ServedKey, ...ServedKey[]]> {
  const [first, ...others] = await service.holders(call, key, role);
  if (!first) throw new TokenError("NO_OBJECT", `no token in a reader has the key ${key}`);
  return [first, ...others];
}

/** The certificate belongs to the answer; if it has none, the signature is good without it. */
async function certificateOf(key: Key, signal: AbortSignal): Promise<Uint8Array | undefined> {
  try {
    return (await key.certificate({ signal })).der;
  } catch (error) {
    if (error instanceof TokenError && error.is("NO_OBJECT", "SEVERAL_OBJECTS")) return undefined;
    throw error;
  }
}

async function secretOf(
  service: Service,
  call: Call,
  key: string,
  field: "data" | "secret",
  work: (key: Key) => Promise<Uint8Array>,
): Promise<Outcome> {
  return service.workload.run(await allowed(service, call, key, "use"), async ({ key: one }) => {
    const secret = await work(one);
    try {
      return { body: { [field]: toBase64Url(secret) } };
    } finally {
      wipe(secret);
    }
  });
}

/** The body is JSON, or the data itself with the algorithm in the address. */
function signInput(body: SignInput | Uint8Array | undefined, alg: JwsAlgorithm | undefined): SignInput {
  if (body === undefined) throw new ServiceError("BAD_INPUT", "the request has no body, and so nothing to sign");
  if (!(body instanceof Uint8Array)) {
    if (alg === undefined) return body;
    throw new ServiceError("BAD_INPUT", "the algorithm stands in the body, not in the address too");
  }
  if (alg === undefined) throw new ServiceError("BAD_INPUT", "name the algorithm in the address: ?alg=ES256");
  return { alg, data: toBase64Url(body) };
}

/** @throws {DataError} for text that is no base64url. */
const bytesOf = (text: string): Uint8Array => fromBase64Url(text);
