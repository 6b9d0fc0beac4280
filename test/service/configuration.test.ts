import { describe, expect, test } from "@jest/globals";
import { Client } from "../../src/service/clients.ts";
import { checkConfiguration } from "../../src/service/index.ts";

const HASH = "0".repeat(64);
const client = (fields: object): object => ({ clients: [{ name: "bot", bearerSha256: HASH, grants: [], ...fields }] });

function thrownBy(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return String(error);
  }
  return "nothing was thrown";
}

describe("a configuration", () => {
  test.each([
    ["an unknown field", { client: [] }, "configuration: /client: there is no such field"],
    [
      "a bearer token itself",
      client({ bearerSha256: "secret-token" }),
      "configuration: /clients/0/bearerSha256: must match pattern",
    ],
    ["an unknown role", client({ grants: [{ role: "root" }] }), "configuration: /clients/0/grants/0/role"],
    [
      "a client that nothing tells from others",
      { clients: [{ name: "bot", grants: [] }] },
      "nothing tells the client bot from others",
    ],
    [
      "two clients with a name",
      { clients: [1, 2].map(() => ({ name: "a", socket: true, grants: [] })) },
      "two clients have the name a",
    ],
    ["TCP without TLS", { listen: { host: "localhost", port: 1 } }, "configuration: /listen"],
    ["a limit that is none", { limits: { waiting: 0 } }, "configuration: /limits/waiting: must be >= 1"],
    ["a PIN in clear", { tokens: [{ token: "pkcs11:", pin: "123456" }] }, "configuration: /tokens/0/pin"],
  ])("with %s is refused", (_what, value, message) => {
    const told = thrownBy(() => checkConfiguration(value));
    expect(told).toContain(message);
    expect(told).not.toMatch(/secret-token|123456/u);
  });
});

describe("roles", () => {
  const info = {
    label: "PIV",
    manufacturerID: "piv_II",
    model: "PIV",
    serialNumber: "01",
    slot: 0,
    reader: "Reader",
    uri: "",
  };
  const token = info as never;
  const [a, b] = ["a".repeat(64), "b".repeat(64)];
  const withGrants = (...grants: object[]): Client => new Client({ name: "bot", grants: grants as never });

  test("each includes view, and none another", () => {
    for (const role of ["use", "issue", "manage", "admin"] as const) {
      const bot = withGrants({ role });
      const may = (["view", "use", "issue", "manage", "admin"] as const).filter((one) => bot.may(one, token));
      expect(may).toEqual(["view", role]);
    }
  });

  test("a grant of single keys holds for these, and lets the token be seen", () => {
    const bot = withGrants({ role: "use", keys: [a] });
    expect([bot.may("use", token, a), bot.may("use", token, b), bot.may("use", token)]).toEqual([true, false, false]);
    expect([bot.may("view", token), bot.may("view", token, a), bot.may("view", token, b)]).toEqual([true, true, false]);
  });

  test("a grant for a token holds for no other", () => {
    const bot = withGrants({ role: "use", token: "pkcs11:serial=01" });
    expect([bot.may("use", token), bot.may("use", { ...info, serialNumber: "02" })]).toEqual([true, false]);
  });
});
