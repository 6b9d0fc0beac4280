import type { Container } from "../../piv/index.ts";
import type { Check } from "../examination.ts";
import type { SignedObject } from "../signed-data.ts";
import type { PivPatient } from "./patient.ts";

const SECTION = "SP 800-73-4 part 1 section 3.1; FIPS 201-2 section 4.2.1";

export const SIGNATURE_CHECKS = {
  WRONG: {
    name: "signature-wrong",
    level: "defect",
    section: SECTION,
    consequence: "The object was changed after the issuer signed it. Nothing that it says can be relied on.",
    remedy: "Do not trust the card. Ask its issuer for a new one.",
  },
  PURPOSE: {
    name: "signer-purpose",
    level: "defect",
    section: "FIPS 201-2 section 4.2.1",
    consequence: "The signer may not sign objects of PIV cards, so those who check refuse what it signed.",
    remedy: "Ask the card's issuer for a card that its content signer has signed.",
  },
} as const satisfies Record<string, Check>;

/** id-PIV-content-signing and its counterpart for PIV-I (X.509 profiles of the Federal PKI). */
const CONTENT_SIGNING: readonly string[] = ["2.16.840.1.101.3.6.7", "2.16.840.1.101.3.8.7"];

export interface Signed {
  readonly container: Container;
  readonly signed: SignedObject;
  /** Where the content is not in the signed object. */
  readonly content?: Uint8Array;
  /** Certificates among which the signer's may be, besides those in the object. */
  readonly signers: readonly Uint8Array[];
}

/** Whether the signature of an object is right, and its signer's certificate good. */
export async function judgeSignature(
  patient: PivPatient,
  { container, signed, content, signers }: Signed,
): Promise<void> {
  const { examination, judge, altered } = patient;
  const result = await signed.verify(content, [...signers, ...(judge.authorities?.all ?? [])]);
  switch (result.state) {
    case "no-signer": {
      const hint = judge.authorities ? "nor among those given with --ca" : "and may be given with --ca";
      examination.unchecked(`signature of ${container.name}`, `its signer's certificate is not on the card, ${hint}`);
      return;
    }
    case "unknown":
      examination.unchecked(`signature of ${container.name}`, result.problem);
      return;
    case "invalid":
      altered.add(container);
      examination.found(
        SIGNATURE_CHECKS.WRONG,
        container.name,
        "Its signature does not verify: the content is not what was signed.",
      );
      break;
    case "valid":
  }
  const where = `signer of ${container.name}`;
  const facts = result.signer.length > 0 ? judge.read(where, result.signer) : undefined;
  if (!facts || !(await judge.judge(where, facts))) return;
  if (facts.purposes.length > 0 && !facts.purposes.some((purpose) => CONTENT_SIGNING.includes(purpose))) {
    examination.found(
      SIGNATURE_CHECKS.PURPOSE,
      where,
      "Its certificate is not meant for signing the objects of cards.",
    );
  }
}
