import { equalBytes, toHex } from "../../bytes/index.ts";
import type { CardPrivateKey } from "../../card/index.ts";
import { digest, publicKeyName } from "../../crypto/index.ts";
import { CKA, CKA_YUBICO, CKO, formatUri, objectUri } from "../../cryptoki/index.ts";
import { type CertificateSummary, summarise } from "../output/descriptions.ts";
import type { ObjectEntry, TokenSession } from "../session.ts";
import { referenceOf } from "./key-place.ts";
import { pinPolicyWord, touchPolicyWord } from "./key-policy.ts";
import { listTokens, onCardToken } from "./token.ts";

/** When a key wants the PIN and a touch, and where it comes from, as far as the card tells. */
interface KeyPolicy {
  readonly pin: string;
  readonly touch: string;
  readonly origin: "generated" | "imported" | "unknown";
}

const UNKNOWN: KeyPolicy = { pin: "unknown", touch: "unknown", origin: "unknown" };

/** A key, for people and as `--json` prints it: all that is to be known without a PIN. */
export interface KeyDetails {
  readonly id: string;
  /** A PIV card's own name of it. */
  readonly reference: string | undefined;
  readonly label: string;
  /** "RSA-2048", "P-256". */
  readonly key: string;
  readonly policy: KeyPolicy;
  /** SHA-256 of its SubjectPublicKeyInfo, hexadecimal. */
  readonly fingerprint: string;
  /** Of the certificate with the same CKA_ID. */
  readonly certificate: CertificateSummary | undefined;
  readonly uri: string;
}

/**
 * The keys of a token, by their public halves, which show before a login.
 * @param id Only the key with this CKA_ID.
 */
export async function keyDetails(session: TokenSession, id?: Uint8Array): Promise<KeyDetails[]> {
  const named = id && { [CKA.ID]: id };
  const keys = await session.find({ [CKA.CLASS]: CKO.PUBLIC_KEY, ...named });
  const certificates = await session.find({ [CKA.CLASS]: CKO.CERTIFICATE, ...named });
  const policies = await policiesOf(session, keys);
  const found: KeyDetails[] = [];
  for (const [index, entry] of keys.entries()) {
    const spki = await session.publicKeyInfo(entry.handle);
    if (!spki) continue;
    const certificate = certificates.find((one) => equalBytes(one.id, entry.id));
    found.push({
      id: toHex(entry.id),
      reference: referenceOf(session.token, entry.id),
      label: entry.label,
      key: publicKeyName(spki),
      policy: policies[index] ?? UNKNOWN,
      fingerprint: toHex(digest("sha256", spki)),
      certificate: certificate && summarise(await session.value(certificate.handle)),
      uri: formatUri(objectUri(session.token, entry)),
    });
  }
  return found;
}

/** PKCS #11 shows what a private key is after a login only; the card tells it before. */
async function policiesOf(session: TokenSession, keys: readonly ObjectEntry[]): Promise<(KeyPolicy | undefined)[]> {
  const { context, token } = session;
  if (context.options.server !== undefined) return [];
  const all = await listTokens(context);
  const here = all.find(({ slotID }) => slotID === token.slotID) ?? token;
  return onCardToken(context, here, all.includes(here) ? all : [here], async (cardToken) => {
    const objects = await cardToken.objects(["private-key"]);
    const found: (KeyPolicy | undefined)[] = [];
    for (const { id } of keys) {
      const key = objects.find((one) => one.class === "private-key" && equalBytes(one.id, id));
      const isThere = key?.class === "private-key" && (await key.isPresent({ explicitlyRequested: true }));
      found.push(isThere ? await policyOf(key) : undefined);
    }
    return found;
  });
}

async function policyOf(key: CardPrivateKey): Promise<KeyPolicy> {
  const told = async (attribute: number): Promise<number | undefined> => key.vendorAttributes?.get(attribute)?.();
  const pin = await told(CKA_YUBICO.PIN_POLICY);
  const touch = await told(CKA_YUBICO.TOUCH_POLICY);
  const local = typeof key.local === "function" ? await key.local() : key.local;
  const standard = key.alwaysAuthenticate ? "always" : key.needsLogin ? "once" : "never";
  return {
    pin: pinPolicyWord(pin) ?? standard,
    touch: touchPolicyWord(touch) ?? (touch === 0 ? "never" : "unknown"),
    // A card that tells of no policies may not tell where a key comes from either.
    origin: local ? "generated" : touch === undefined ? "unknown" : "imported",
  };
}
