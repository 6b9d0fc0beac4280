import { type Certificate, parseCertificate } from "../asn1/index.ts";
import { equalBytes, tryParse } from "../bytes/index.ts";

interface Link {
  readonly der: Uint8Array;
  /** Undefined for one that does not parse: it belongs nowhere. */
  readonly certificate: Certificate | undefined;
}

/** A chain in its order. */
export interface ChainOrder {
  /** The key's own certificate, then each issuer's, as far as they are given. */
  readonly chain: readonly Uint8Array[];
  /** Certificates of no issuer in the chain. */
  readonly others: readonly Uint8Array[];
  /** Whether they were given in this order. */
  readonly wasInOrder: boolean;
}

/**
 * Puts certificates into the order of a chain, by the names of subject and issuer (RFC 5280 section 6.1).
 * @param given X.509, DER, `own` among them.
 * @param own The key's own.
 */
export function chainOrder(given: readonly Uint8Array[], own: Uint8Array): ChainOrder {
  const left: Link[] = given.map((der) => ({ der, certificate: tryParse(() => parseCertificate(der)) }));
  const chain: Uint8Array[] = [];
  let next = left.find(({ der }) => der === own);
  while (next) {
    chain.push(next.der);
    left.splice(left.indexOf(next), 1);
    const issuer = next.certificate?.issuer;
    next = left.find(({ certificate }) => issuer && certificate && equalBytes(certificate.subject, issuer));
  }
  const others = left.map(({ der }) => der);
  return { chain, others, wasInOrder: [...chain, ...others].every((der, index) => der === given[index]) };
}
