import { concat, DataError, utf8 } from "../bytes/index.ts";
import type { NamedCurve } from "./curve.ts";
import type { PublicKey } from "./public-key.ts";

const SSH_CURVES: Readonly<Record<NamedCurve, string>> = {
  "P-256": "nistp256",
  "P-384": "nistp384",
  "P-521": "nistp521",
};

/**
 * A public key as OpenSSH writes it in authorized_keys: the name of its type, and its blob in base64.
 * @throws {DataError} for a key that signs nothing.
 */
export function encodeSshPublicKey(key: PublicKey): string {
  const [type, ...fields] = sshFields(key);
  const blob = concat(sshString(utf8(type)), ...fields);
  return `${type} ${Buffer.from(blob).toString("base64")}`;
}

function sshFields(key: PublicKey): readonly [string, ...Uint8Array[]] {
  switch (key.type) {
    case "rsa":
      if (key.pss !== undefined) throw new DataError("SSH has no use for a key that is for RSASSA-PSS only");
      return ["ssh-rsa", sshInteger(key.publicExponent), sshInteger(key.modulus)];
    case "ec": {
      const curve = SSH_CURVES[key.curve];
      return [`ecdsa-sha2-${curve}`, sshString(utf8(curve)), sshString(key.point)];
    }
    case "edwards":
      return ["ssh-ed25519", sshString(key.point)];
    case "montgomery":
      throw new DataError("SSH has no use for a key that only agrees on secrets");
  }
}

/** RFC 4251 section 5: four bytes of length, then the bytes. */
function sshString(bytes: Uint8Array): Uint8Array {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, bytes.length);
  return concat(length, bytes);
}

/** RFC 4251 section 5, mpint: a leading zero keeps a number with its highest bit set from being negative. */
function sshInteger(bytes: Uint8Array): Uint8Array {
  return sshString((bytes[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}
