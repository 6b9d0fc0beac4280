import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import axe from "axe-core";
import { type Browser, type BrowserContext, chromium, type Locator, type Page } from "playwright-core";
import { MAIN } from "../../cli/built.ts";
import { requirePrograms } from "../rig/require.ts";
import { bearer, DAY, type Paged, paged, PIN } from "./paged.ts";

const SCREENSHOTS = fileURLToPath(new URL("screenshots/", import.meta.url));
const FILE = { name: "letter.txt", mimeType: "text/plain", buffer: Buffer.from("a letter to be signed") };

const ends: (() => Promise<unknown>)[] = [];
let service: Paged;
let browser: Browser;
let context: BrowserContext;
const CONTEXT = { ignoreHTTPSErrors: true, viewport: { width: 1200, height: 900 } };
let page: Page;
/** What the browser's console reports as errors, of every page of these tests. */
const complaints: string[] = [];
/** What they asked. */
const addresses = new Set<string>();

beforeAll(async () => {
  requirePrograms("chromium");
  mkdirSync(SCREENSHOTS, { recursive: true });
  service = await paged();
  ends.push(async () => {
    await service[Symbol.asyncDispose]();
  });
  browser = await chromium.launch({ executablePath: "/usr/bin/chromium" });
  ends.unshift(() => browser.close());
  context = await browser.newContext(CONTEXT);
  page = await opened("administrator");
});
afterAll(async () => {
  for (const end of ends) await end();
});

async function blank(within = context): Promise<Page> {
  const made = await within.newPage();
  made.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  made.on("request", (request) => addresses.add(new URL(request.url()).origin));
  made.on("pageerror", (error) => complaints.push(error.message));
  return made;
}

async function signIn(on: Page, token: string): Promise<void> {
  await on.getByLabel("Bearer token").fill(token);
  await on.getByRole("button", { name: "Sign in" }).click();
}

/** A page on which a client is signed in. */
async function opened(client: string): Promise<Page> {
  const made = await blank();
  await made.goto(service.address);
  await signIn(made, bearer(client));
  await made.getByRole("heading", { level: 1, name: "Cards" }).waitFor();
  return made;
}

const follow = (on: Page, name: string): Promise<void> => on.getByRole("link", { name }).click();
const article = (on: Page, reader: string): Locator => on.getByRole("article").filter({ hasText: reader });

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** What axe finds on the page that is serious or critical. */
async function violations(on: Page): Promise<readonly string[]> {
  await on.evaluate(axe.source);
  const found = await on.evaluate<readonly Violation[]>("axe.run().then(({ violations }) => violations)");
  return found
    .filter(({ impact }) => ["serious", "critical"].includes(impact))
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

describe("signing in", () => {
  test("a token that no client has is refused, and the page says so", async () => {
    const other = await blank();
    await other.goto(service.address);
    await signIn(other, "token-of-another-service");
    await other.getByText("The service does not know this token.").waitFor();
    expect(complaints.splice(0)).toEqual([expect.stringContaining("status of 401")]);
    await other.close();
  });

  test("a client sees only what it may do, and the page keeps no credentials", async () => {
    const visitor = await opened("visitor");
    await article(visitor, "Desk reader").waitFor();
    expect(await visitor.getByRole("navigation").getByRole("link").allInnerTexts()).toEqual([
      "Cards",
      "Sign and verify",
      "APDU explorer",
    ]);
    expect(await visitor.getByLabel("PIN").count()).toBe(0);
    await follow(visitor, "Sign and verify");
    await visitor.getByText('To sign, the client needs the role "use".').waitFor();
    expect(await visitor.evaluate("[localStorage.length, sessionStorage.length, document.cookie]")).toEqual([0, 0, ""]);
    await visitor.reload();
    await visitor.getByRole("heading", { name: "Sign in" }).waitFor();
    await visitor.close();
  });
});

describe("cards", () => {
  test("a card appears, its PIN is blocked, and it goes", async () => {
    await article(page, "Desk reader").getByText("PIN can be used").waitFor();
    service.readers.insert("Second reader", await service.otherCard());
    const card = article(page, "Second reader");
    await card.getByText("PIN can be used").waitFor();
    expect(await page.locator("#announcer").innerText()).toMatch(/^Card in Second reader: /u);
    for (const said of ["The PIN is wrong: 2 tries left.", "The PIN is wrong: 1 try left.", "The PIN is blocked"]) {
      await card.getByLabel("PIN").fill("111111");
      await card.getByRole("button", { name: "Log in" }).click();
      await card.getByText(said).waitFor();
    }
    await card.getByText("PIN is blocked: no tries left", { exact: true }).waitFor();
    await page.screenshot({ path: `${SCREENSHOTS}/blocked.png`, fullPage: true });
    service.readers.eject("Second reader");
    await card.waitFor({ state: "detached" });
    expect(await page.locator("#announcer").innerText()).toMatch(/^Card removed from Second reader: /u);
    // The browser reports each refusal itself.
    expect(complaints.splice(0).map((line) => /status of (\d+)/u.exec(line)?.[1])).toEqual(["403", "403", "423"]);
  });

  test("the right PIN logs in", async () => {
    const card = article(page, "Desk reader");
    await card.getByLabel("PIN").fill(PIN);
    await card.getByLabel("PIN").press("Enter");
    await card.getByText("Logged in.").waitFor();
    expect(await card.getByLabel("PIN").inputValue()).toBe("");
  });

  test("a certificate that ends soon is told, and then that it has expired", async () => {
    // The clock is that of all pages of a context.
    const own = await browser.newContext(CONTEXT);
    const later = await blank(own);
    await own.clock.install();
    await later.goto(service.address);
    await signIn(later, bearer("visitor"));
    const row = article(later, "Desk reader").getByRole("row").filter({ hasText: "Ada Signer" });
    await row.getByText("Expires in 20 days").waitFor();
    await own.clock.fastForward(21 * DAY);
    await row.getByText("Expired", { exact: true }).waitFor();
    expect(await article(later, "Desk reader").getByText("Valid", { exact: true }).count()).toBeGreaterThan(0);
    await own.close();
  });
});

describe("files", () => {
  test.each([
    ["9A", "PS256"],
    ["9A", "RS512"],
    ["9C", "ES256"],
    ["82", "EdDSA"],
  ])("a file is signed with the key in %s as %s, and the browser verifies it", async (reference, alg) => {
    await follow(page, "Sign and verify");
    const option = page
      .getByLabel("Key")
      .locator("option")
      .filter({ hasText: `(${reference})` });
    await page.getByLabel("Key").selectOption(await option.getAttribute("value"));
    await page.getByLabel("Algorithm").selectOption(alg);
    await page.getByLabel("File", { exact: true }).setInputFiles(FILE);
    await page.getByLabel("Signature (base64url)").fill("");
    const [sent] = await Promise.all([
      page.waitForRequest((request) => request.url().endsWith("/sign")),
      page.getByRole("button", { name: "Sign", exact: true }).click(),
    ]);
    await page.getByText("letter.txt is signed with").waitFor();
    expect(Object.keys(sent.postDataJSON() as object)).toEqual(["alg", alg === "EdDSA" ? "data" : "digest"]);
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("The signature is right").waitFor();
    await page.getByLabel("File", { exact: true }).setInputFiles({ ...FILE, buffer: Buffer.from("another letter") });
    await page.getByRole("button", { name: "Verify" }).click();
    await page.getByText("The signature is not right").waitFor();
  });

  test("a signature is saved as bytes", async () => {
    const [download] = await Promise.all([
      page.waitForEvent("download"),
      page.getByRole("button", { name: "Save signature" }).click(),
    ]);
    expect(download.suggestedFilename()).toBe("letter.txt.sig");
    const signature = await page.getByLabel("Signature (base64url)").inputValue();
    expect(readFileSync(await download.path()).toString("base64url")).toBe(signature);
  });
});

describe("APDUs", () => {
  test("a command is built and explained, and the practice card answers it", async () => {
    await follow(page, "APDU explorer");
    await page.getByLabel("Command", { exact: true }).selectOption("SELECT");
    await page.getByLabel("P1 (hex)").fill("04");
    await page.getByLabel("Data (hex)").fill("A0 00 00 03 08");
    await page.getByLabel("Bytes of the answer (Le)").fill("256");
    await page.getByRole("button", { name: "Build" }).click();
    await page.getByRole("heading", { level: 3, name: "SELECT" }).waitFor();
    const command = page.getByLabel("Command APDU (hex)");
    expect(await command.inputValue()).toBe("00 A4 04 00 05 A0 00 00 03 08 00");
    await page.getByRole("button", { name: "Send to the practice card" }).click();
    const exchanges = page.getByRole("list", { name: "Exchanges with the practice card" });
    await exchanges.getByText("9000: success").waitFor();
    await command.fill("00200080083132333435360000");
    await page.getByLabel("Reset the practice card first").check();
    await page.getByRole("button", { name: "Send to the practice card" }).click();
    await exchanges.getByText("> 00 20 00 80 **").waitFor();
    expect(complaints.splice(0)).toEqual([]);
  });

  test("an answer is explained, and what is no command is told without a request", async () => {
    await page.getByLabel("Command APDU (hex)").fill("0020008000");
    await page.getByLabel("Answer of the card (hex, optional)").fill("63C2");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByText("63C2: ").waitFor();
    await page.getByLabel("Command APDU (hex)").fill("zz");
    await page.getByRole("button", { name: "Explain" }).click();
    await page.getByText('"zz" is not hexadecimal').waitFor();
    expect(complaints.splice(0)).toEqual([]);
  });
});

describe("the trace", () => {
  test("shows calls and the APDUs under them, and counts signatures", async () => {
    await follow(page, "Sign and verify");
    await page.getByRole("button", { name: "Sign", exact: true }).click();
    await page.getByText("letter.txt is signed with").waitFor();
    await follow(page, "Trace");
    await page.getByRole("row").filter({ hasText: "C_Sign" }).first().waitFor();
    await page
      .getByRole("row")
      .filter({ hasText: /GENERAL AUTHENTICATE.*in Desk reader/u })
      .first()
      .waitFor();
    const chart = page.getByRole("img", { name: /^Signatures a second\. .*Most in 60 seconds: [1-9]/u });
    await chart.waitFor();
    expect(await page.getByRole("region", { name: "Waterfall" }).innerText()).not.toContain(PIN);
  });
});

describe("everyone can use it", () => {
  test("with the keyboard alone", async () => {
    const other = await blank();
    await other.goto(service.address);
    await other.getByLabel("Bearer token").waitFor();
    // The field has the focus.
    await other.keyboard.type(bearer("administrator"));
    await other.keyboard.press("Enter");
    await article(other, "Desk reader").waitFor();
    const focused = async (): Promise<string> =>
      String(await other.evaluate("document.activeElement?.textContent || document.activeElement?.id"));
    expect(await focused()).toBe("Cards");
    for (const name of ["Sign out", "APDU explorer"]) {
      await other.getByRole("button", { name: "Sign out" }).or(other.getByRole("link", { name })).first().waitFor();
      for (let tabs = 0; tabs < 8 && (await focused()) !== name; tabs++) await other.keyboard.press("Shift+Tab");
      expect(await focused()).toBe(name);
    }
    await other.keyboard.press("Enter");
    await other.getByRole("heading", { level: 1, name: "APDU explorer" }).waitFor();
    expect(await focused()).toBe("APDU explorer");
    await other.keyboard.press("Tab");
    // The list of commands, its fields, and the button.
    for (let tabs = 0; tabs < 5; tabs++) await other.keyboard.press("Tab");
    expect(await focused()).toBe("Build");
    await other.keyboard.press("Enter");
    await other.getByRole("heading", { level: 3, name: "SELECT" }).waitFor();
    await other.close();
  });

  test.each(["light", "dark"] as const)("in %s colours axe finds nothing serious", async (colorScheme) => {
    await page.emulateMedia({ colorScheme });
    for (const name of ["Cards", "Sign and verify", "APDU explorer", "Trace"]) {
      await follow(page, name);
      await page.getByRole("navigation").locator("[aria-current]").filter({ hasText: name }).waitFor();
      expect({ name, found: await violations(page) }).toEqual({ name, found: [] });
      await page.screenshot({ path: `${SCREENSHOTS}/${name}-${colorScheme}.png`, fullPage: true });
    }
    const fresh = await blank();
    await fresh.emulateMedia({ colorScheme });
    await fresh.goto(service.address);
    await fresh.getByLabel("Bearer token").waitFor();
    expect(await violations(fresh)).toEqual([]);
    await fresh.screenshot({ path: `${SCREENSHOTS}/Sign in-${colorScheme}.png` });
    await fresh.close();
  });

  test("on a narrow screen nothing stands beside it", async () => {
    await page.setViewportSize({ width: 360, height: 800 });
    for (const name of ["Cards", "Sign and verify", "APDU explorer", "Trace"]) {
      await follow(page, name);
      expect([name, await page.evaluate("document.documentElement.scrollWidth")]).toEqual([name, 360]);
    }
    await page.screenshot({ path: `${SCREENSHOTS}/narrow.png` });
  });
});

test("the browser's console has no error, and no address but the service's was asked", () => {
  expect(complaints).toEqual([]);
  expect([...addresses]).toEqual([service.address]);
});

test("the command serves the page, its trace and the practice card, if the configuration wants them", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "page-"));
  const socket = path.join(folder, "http");
  const config = path.join(folder, "service.json");
  const grants = [{ role: "admin" }];
  const configuration = { listen: { socket }, clients: [{ name: "local", socket: true, grants }], page: true };
  await writeFile(config, JSON.stringify(configuration));
  const child = spawn(process.execPath, [MAIN, "--virtual", "serve", "--http", "--foreground", "--config", config], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    // It says where it listens.
    await once(child.stdout, "data");
    expect(await ask(socket, "/page.js")).toContain("/v1/client");
    expect(JSON.parse(await ask(socket, "/v1/client"))).toMatchObject({ trace: true, practiceCard: true });
  } finally {
    const ended = once(child, "exit");
    child.kill();
    await ended;
    await rm(folder, { recursive: true });
  }
});

async function ask(socketPath: string, address: string): Promise<string> {
  const sent = request({ socketPath, path: address, agent: false });
  sent.end();
  const [answer] = (await once(sent, "response")) as [AsyncIterable<Buffer>];
  const parts: Buffer[] = [];
  for await (const part of answer) parts.push(part);
  return Buffer.concat(parts).toString();
}
