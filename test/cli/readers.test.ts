import { expect, test } from "@jest/globals";
import { InterruptedError } from "../../src/cli/output/failures.ts";
import { cryptoki, json, jsonError } from "./program.ts";

const NO_DAEMON = { env: { PCSCLITE_CSOCK_NAME: "/nonexistent/pcscd.comm" } };

test("the readers and what is in them, as a table and as JSON", async () => {
  const table = await cryptoki(["--virtual", "readers"]);
  expect(table.code).toBe(0);
  expect(table.stdout).toMatch(/^READER +CARD +ANSWER TO RESET\nVirtual Reader +present +3b /u);
  const document = json(await cryptoki(["readers", "--virtual", "--json"]));
  expect(document).toEqual([
    {
      name: "Virtual Reader",
      present: true,
      mute: false,
      atr: expect.stringMatching(/^3b[0-9a-f]+$/u),
      connections: 0,
      transport: "virtual",
    },
  ]);
});

test("a reader by a part of its name, in any case", async () => {
  expect((await cryptoki(["--virtual", "--reader", "virtual", "readers"])).code).toBe(0);
  const outcome = await cryptoki(["--virtual", "--reader", "Other", "readers", "--json"]);
  expect(outcome.code).toBe(3);
  expect(outcome.stdout).toBe("[]\n");
  expect(jsonError(outcome)).toMatchObject({ name: "NotFoundError", exitCode: 3 });
});

test("no daemon: one line that says what to do, and exit code 3", async () => {
  const { code, stdout, stderr } = await cryptoki(["readers"], NO_DAEMON);
  expect(code).toBe(3);
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^error: SCARD_E_NO_SERVICE: .*start pcscd/u);
  expect(stderr.trim().split("\n").length).toBeLessThanOrEqual(2);
});

test("no daemon, for a program", async () => {
  const outcome = await cryptoki(["readers", "--json"], NO_DAEMON);
  expect(jsonError(outcome)).toMatchObject({ name: "SCARD_E_NO_SERVICE", exitCode: 3 });
});

test("the addon's transport without the addon: what to install", async () => {
  const { code, stderr } = await cryptoki(["readers", "--transport", "addon"]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/pcsclite/u);
});

test("watching ends without an error when it is interrupted", async () => {
  const controller = new AbortController();
  const { code, stdout } = await cryptoki(["--virtual", "readers", "--watch", "--json"], {
    signal: controller.signal,
    onOutput: (soFar) => {
      if (soFar.includes("card-inserted")) controller.abort(new InterruptedError("by the test", 130));
    },
  });
  expect(code).toBe(0);
  const events = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  expect(events).toMatchObject([
    { event: "reader-added", name: "Virtual Reader" },
    { event: "card-inserted", name: "Virtual Reader" },
  ]);
});

test("a time limit ends the watch as a failure", async () => {
  const { code, stderr } = await cryptoki(["--virtual", "readers", "--watch", "--timeout", "0.05"]);
  expect(code).toBe(1);
  expect(stderr).toMatch(/not finished after 0.05 s/u);
});

test.each(["0", "-1", "soon", "1e9"])("a time limit of %s is a usage error", async (text) => {
  expect((await cryptoki(["readers", "--timeout", text])).code).toBe(2);
});
