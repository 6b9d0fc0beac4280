import type { TokenCertificate } from "../../tokens/index.ts";
import type { App } from "../app.ts";
import type { Call, Service } from "../call.ts";
import { answers, described } from "../descriptions.ts";
import type { ServedToken } from "../directory.ts";
import { fingerprintOf } from "../fingerprint.ts";
import { pageOf } from "../page.ts";
import {
  CertificateBody,
  CertificateSchema,
  KeyParameters,
  listOf,
  PageQuery,
  TokenKeyParameters,
  TokenParameters,
} from "../schemas.ts";
import { orAsOfficer } from "./keys.ts";

/** The certificates of a token, and that of a key. */
export function addCertificates(app: App, service: Service): void {
  app.get(
    "/v1/tokens/:token/certificates",
    {
      schema: {
        ...described("listCertificates", "The certificates of a token", "view"),
        params: TokenParameters,
        querystring: PageQuery,
        response: answers(listOf(CertificateSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const served = await service.token(call, request.params.token, "view");
        return { body: { items: pageOf(await certificatesOf(served, call), placeOf, request, reply) } };
      }),
  );

  app.get(
    "/v1/certificates",
    {
      schema: {
        ...described("listAllCertificates", "The certificates of all tokens that are in a reader", "view"),
        querystring: PageQuery,
        response: answers(listOf(CertificateSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const tokens = await service.directory.tokens({ signal: call.signal });
        const seen = tokens.filter(({ info }) => call.client.may("view", info));
        const items = (await Promise.all(seen.map((served) => certificatesOf(served, call)))).flat();
        return { body: { items: pageOf(items, placeOf, request, reply) } };
      }),
  );

  app.get(
    "/v1/keys/:key/certificates",
    {
      schema: {
        ...described("listCertificatesOfKey", "The certificates of a key, on all cards that have it", "view"),
        params: KeyParameters,
        querystring: PageQuery,
        response: answers(listOf(CertificateSchema)),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const holders = await service.holders(call, request.params.key, "view");
        const all = (await Promise.all(holders.map(({ served }) => certificatesOf(served, call)))).flat();
        const items = all.filter(({ key }) => key === request.params.key);
        return { body: { items: pageOf(items, placeOf, request, reply) } };
      }),
  );

  app.get(
    "/v1/tokens/:token/keys/:key/certificate",
    {
      schema: {
        ...described("getCertificate", "The certificate of a key", "view"),
        params: TokenKeyParameters,
        response: answers(CertificateSchema),
      },
    },
    (request, reply) =>
      service.read(request, reply, async (call) => {
        const { key, served } = await service.keyOn(call, request.params.token, request.params.key, "view");
        const certificate = await key.certificate({ signal: call.signal });
        if (request.headers.accept?.includes("application/pkix-cert"))
          return { bytes: { type: "application/pkix-cert", content: certificate.der } };
        return { body: certificateJson(certificate, served) };
      }),
  );

  app.put(
    "/v1/tokens/:token/keys/:key/certificate",
    {
      schema: {
        ...described("putCertificate", "Write the certificate of a key", "issue", { repeats: "required" }),
        params: TokenKeyParameters,
        body: CertificateBody,
        response: answers(CertificateSchema),
      },
    },
    (request, reply) => {
      const { token, key } = request.params;
      const subject = { operation: "write-certificate", token, key };
      return service.perform(request, reply, subject, "kept", async (call) => {
        const found = await service.keyOn(call, token, key, "issue");
        const { certificate, replace = false } = request.body;
        const written = await orAsOfficer(service, found.served, call, (one) =>
          one.certificates.add(certificate, { key: found.key, replace, signal: call.signal }),
        );
        service.changed("certificate.written", found.served, { key });
        await service.expiry.lookAt(found.served, { signal: call.signal });
        return { body: certificateJson(written, found.served) };
      });
    },
  );

  app.delete(
    "/v1/tokens/:token/keys/:key/certificate",
    {
      schema: {
        ...described("deleteCertificate", "Delete the certificate of a key", "manage"),
        params: TokenKeyParameters,
        response: answers(undefined),
      },
    },
    (request, reply) => {
      const { token, key } = request.params;
      const subject = { operation: "delete-certificate", token, key };
      return service.perform(request, reply, subject, "kept", async (call) => {
        const found = await service.keyOn(call, token, key, "manage");
        const certificate = await found.key.certificate({ signal: call.signal });
        await orAsOfficer(service, found.served, call, (one) =>
          one.certificates.delete(certificate, { signal: call.signal }),
        );
        service.changed("certificate.written", found.served, { key });
        return { status: 204 };
      });
    },
  );
}

/** Of a token, those whose key the client may see. */
async function certificatesOf(served: ServedToken, { client, signal }: Call): Promise<readonly CertificateJson[]> {
  const items: CertificateJson[] = [];
  for await (const one of served.token.certificates.find({}, { signal })) {
    const item = certificateJson(one, served);
    if (client.may("view", served.info, item.key)) items.push(item);
  }
  return items;
}

/** The order of a list. */
const placeOf = ({ token, id, pem }: CertificateJson): string => `${token} ${id} ${pem.slice(-120)}`;

interface CertificateJson {
  readonly token: string;
  readonly key?: string;
  readonly id: string;
  readonly pem: string;
}

function certificateJson(certificate: TokenCertificate, { name }: ServedToken): CertificateJson {
  const { id, label, subject, issuer, serialNumber, notBefore, notAfter } = certificate;
  const key = fingerprintOf(certificate);
  return {
    ...{ token: name, id, label, subject, issuer, serialNumber },
    ...{ notBefore: notBefore.toISOString(), notAfter: notAfter.toISOString() },
    ...(key !== undefined && { key }),
    pem: certificate.toPem(),
  };
}
