import { verify, webcrypto, X509Certificate } from "node:crypto";
import vm from "node:vm";
import { build, type BuildOptions, type BuildResult } from "esbuild";
import { describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import { testCard } from "../virtual/keys.ts";
import type { sign } from "./signer.ts";

/** A bundle for browsers. An import of a module of Node's does not resolve there, and fails the build. */
function bundle(options: BuildOptions): Promise<BuildResult<{ write: false; metafile: true }>> {
  const fixed = { bundle: true, platform: "browser", write: false, metafile: true, logLevel: "silent" } as const;
  return build({ ...options, ...fixed });
}

describe("for a browser", () => {
  test.each(["apdu", "asn1", "cac", "card", "crypto", "cryptoki", "pcsc/memory/readers", "piv", "pkcs15", "webcrypto"])(
    "%s is bundled without a module of Node's",
    async (room) => {
      const entry = room.includes("/") ? `src/${room}.ts` : `src/${room}/index.ts`;
      const { metafile } = await bundle({ entryPoints: [entry], format: "esm" });
      const outputs = Object.values(metafile.outputs);
      expect(outputs.flatMap(({ imports }) => imports)).toEqual([]);
    },
  );

  test("what reaches the machine is refused so, which shows that the check works", async () => {
    await expect(bundle({ entryPoints: ["src/pcsc/index.ts"], format: "esm" })).rejects.toThrow(
      /Could not resolve "node:/u,
    );
  });
});

/** What every browser has, and nothing of Node's. */
const BROWSER = {
  crypto: webcrypto,
  TextEncoder,
  TextDecoder,
  AbortController,
  AbortSignal,
  Blob,
  DecompressionStream,
  DOMException,
  atob,
  btoa,
  clearTimeout,
  performance,
  queueMicrotask,
  setTimeout,
  // Those of the objects above, as in a browser, if there is one of each.
  ArrayBuffer,
  Uint8Array,
};

async function load(): Promise<typeof sign> {
  const { outputFiles } = await bundle({
    entryPoints: ["test/browser/signer.ts"],
    format: "iife",
    globalName: "signer",
  });
  const context = vm.createContext({ ...BROWSER });
  vm.runInContext(outputFiles[0]?.text ?? "", context);
  expect(vm.runInContext("typeof process + typeof require + typeof Buffer", context)).toBe(
    "undefinedundefinedundefined",
  );
  return (context["signer"] as { sign: typeof sign }).sign;
}

describe("in a context without Node", () => {
  const message = utf8("signed in a browser");

  test.each([[[]], [["gzip-certificates"]]] as const)(
    "a PIV card signs, and so does a key of the session: deviations %p",
    async (deviations) => {
      const run = await load();
      const { rsa, ecdsa, software } = await run(await testCard({ deviations: [...deviations] }), "123456", message);
      const keyOf = (certificate: Uint8Array) => new X509Certificate(certificate).publicKey;
      expect(verify("sha256", message, keyOf(rsa.certificate), rsa.signature)).toBe(true);
      const key = keyOf(ecdsa.certificate);
      expect(verify("sha256", message, { key, dsaEncoding: "ieee-p1363" }, ecdsa.signature)).toBe(true);
      expect(software).toBe(true);
    },
  );

  test("without a HostCrypto the error says what to install", async () => {
    const run = await load();
    await expect(run(await testCard(), "123456", message, false)).rejects.toMatchObject({
      name: "CryptokiError",
      cause: {
        name: "HostCryptoMissingError",
        message: "this runtime has no node:crypto; install another HostCrypto with useHostCrypto()",
      },
    });
  });
});
