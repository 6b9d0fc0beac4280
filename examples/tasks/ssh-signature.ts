/** Signs a file as ssh does; `ssh-keygen -Y verify -n file` checks it. */
import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

const string = (value: Uint8Array | string): Buffer =>
  Buffer.concat([Uint8Array.of(0, 0, value.length >> 8, value.length & 0xff), Buffer.from(value)]);
await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
const hash = createHash("sha512").update(await readFile("letter.txt"));
const names = Buffer.concat(["file", "", "sha512"].map(string));
const message = Buffer.concat([Buffer.from("SSHSIG"), names, string(hash.digest())]);
const signature = await key.sign(message, { hash: "SHA-512" });
const [, publicKey = ""] = (await key.publicKey()).toSsh().split(" ");
const blob = string(Buffer.concat(["rsa-sha2-512", signature].map(string)));
const parts = [Buffer.from("SSHSIG\0\0\0\u0001"), string(Buffer.from(publicKey, "base64")), names, blob];
const lines = Buffer.concat(parts)
  .toString("base64")
  .replaceAll(/.{1,70}/gu, "$&\n");
await writeFile("letter.txt.sig", `-----BEGIN SSH SIGNATURE-----\n${lines}-----END SSH SIGNATURE-----\n`);
