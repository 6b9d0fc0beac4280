import { equalBytes, fromHex } from "../../bytes/index.ts";
import { computeSignature } from "../commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { algorithm, file, keyReference, refuse } from "../key-use.ts";
import { isoAppletGeneration } from "./iso-applet-generation.ts";
import { standardUse } from "./standard-use.ts";

const ISO_APPLET_AID = fromHex("f276a288bcfba69d34f31001");
const ISO_APPLET_ALGORITHM = { RSA_PKCS1: 0x11, ECDSA: 0x21 } as const;

export const ISO_APPLET: Dialect = {
  name: "IsoApplet",
  source: "OpenSC, card-isoApplet.c; a recorded card",
  recognises: ({ aid }) => aid !== undefined && equalBytes(aid, ISO_APPLET_AID),
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-pkcs1"] : ["ecdsa"]),
  mechanisms: mechanisms({ "rsa-pkcs1": [2048, 4096], ecdsa: [256, 384] }),
  // OpenSC, pkcs15-isoApplet.c and a recorded card: FCI, with the size of all bytes.
  fileTemplate: { template: 0x6f, size: 0x81 },
  generation: isoAppletGeneration,
  use(request) {
    if (request.operation === "derive" || request.primitive === "rsa-raw") return refuse(request);
    const reference = request.key.type === "rsa" ? ISO_APPLET_ALGORITHM.RSA_PKCS1 : ISO_APPLET_ALGORITHM.ECDSA;
    const use = standardUse(request, algorithm(reference), file(request.key), keyReference(request.key));
    if (request.key.type === "rsa") return use;
    // The applet takes the hash as it is; before version 1.0 it hashes its input itself, with SHA-1.
    return { ...use, commands: [computeSignature(request.input)] };
  },
};
