import { expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const PROJECT = fileURLToPath(new URL("../..", import.meta.url));
const run = promisify(execFile);

test("docs/guides/formats.md, as it stands", async () => {
  const folder = await mkdtemp(path.join(os.tmpdir(), "formats-guide-"));
  try {
    await symlink(path.join(PROJECT, "node_modules"), path.join(folder, "node_modules"));
    await writeFile(path.join(folder, "letter.txt"), "an important letter\n");
    const text = await readFile(path.join(PROJECT, "docs/guides/formats.md"), "utf8");
    const program = [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, block]) => block).join("\n");
    const onCard = program.replace("openTokens({", "openTokens({ cards: [card],");
    expect(onCard).not.toBe(program);
    const file = path.join(folder, "program.mts");
    await writeFile(
      file,
      `import { VirtualPivCard } from "cryptoki/virtual";
       const card = await VirtualPivCard.create();
       const askForPin = () => "123456";
       process.chdir(${JSON.stringify(folder)});
       ${onCard}`,
    );
    const { stdout } = await run(process.execPath, ["--import", import.meta.resolve("tsx"), file], { cwd: PROJECT });
    const [header = "", claims = ""] = stdout.split(".").map((part) => Buffer.from(part, "base64url").toString());
    expect(JSON.parse(header)).toEqual({ alg: "ES256", typ: "JWT", kid: "card" });
    expect(JSON.parse(claims)).toMatchObject({ iss: "me" });
    const [, command = ""] = /^```sh\n(.*?)\n```$/ms.exec(text) ?? [];
    const [openssl = "", ...args] = command.split(" ");
    expect((await run(openssl, args, { cwd: folder })).stdout).toBe("an important letter\n");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
