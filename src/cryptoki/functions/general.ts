import type { Application } from "../application.ts";
import type { CK_INFO } from "../structures.ts";

const VERSION = { major: 0, minor: 1 };

export function getInfo(application: Application): CK_INFO {
  return {
    cryptokiVersion: application.version,
    manufacturerID: "cryptoki",
    flags: 0,
    libraryDescription: "Smart cards in TypeScript",
    libraryVersion: VERSION,
  };
}
