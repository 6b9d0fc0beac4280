import { derBitString, derOid, derSequence, encodeDer, TAG } from "../../src/asn1/index.ts";
import { fromHex, utf8 } from "../../src/bytes/index.ts";

/** A certificate of "subject" by "issuer" for a P-256 key, 276 bytes, whose outermost length takes two bytes. */
export const P256_CERTIFICATE: Uint8Array = fromHex(
  "308201103081b6a003020102020101300a06082a8648ce3d0403023011310f300d06035504030c06697373756572301e170d" +
    "3235303130313030303030305a170d3335303130313030303030305a30123110300e06035504030c077375626a6563743059" +
    "301306072a8648ce3d020106082a8648ce3d03010703420004470c798dcdb160d6fbeab89422e6f4f793b7ee4004a1dbd13b" +
    "36274234c4f6d5efa03e06ca2aa081371beeed999a5a47c97682a263031d4c3e38e3f7feb5bea9300a06082a8648ce3d0403" +
    "0203490030460221009784942bd7ba60155d7b9c73417d3822c338f5f4dd694bdfc51363f45056c7530221009bd04d06456d" +
    "cf2f6924d41e0d7d554ead5ca55a1c5a5ed7dfc8795e178af06e",
);

interface Parts {
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** Distinguished names. */
  readonly subject?: Uint8Array;
  readonly issuer?: Uint8Array;
  /** An INTEGER. */
  readonly serialNumber?: Uint8Array;
  /** UTCTime. */
  readonly notBefore?: string;
}

/** A distinguished name with a common name alone. */
export const name = (text: string): Uint8Array =>
  derSequence(encodeDer(TAG.SET, derSequence(derOid("2.5.4.3"), encodeDer(TAG.UTF8_STRING, utf8(text)))));

/** A certificate of these parts, whose signature is zeros: it is not verified here. */
export function certificateOf({ publicKey, subject, issuer, serialNumber, notBefore }: Parts): Uint8Array {
  const algorithm = derSequence(derOid("1.2.840.10045.4.3.2"));
  const time = (text: string): Uint8Array => encodeDer(TAG.UTC_TIME, utf8(text));
  const tbs = derSequence(
    serialNumber ?? fromHex("020101"),
    algorithm,
    issuer ?? name("Issuer"),
    derSequence(time(notBefore ?? "250101000000Z"), time("350101000000Z")),
    subject ?? name("Subject"),
    publicKey,
  );
  return derSequence(tbs, algorithm, derBitString(new Uint8Array(64)));
}
