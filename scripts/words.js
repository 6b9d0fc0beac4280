// Refuses phrases of this project's past that a reader has to puzzle out, in every text of the repository: comments,
// messages, help texts, test names and documents. `npm run lint` runs it; `node scripts/words.js FILE...` checks files.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** Each phrase as a regular expression over single spaces, and how to say it plainly. */
const PHRASES = [
  ["unless (?:it is )?told(?: otherwise)?", 'name the default: "default: PIV"'],
  ["nobody|no one else's", 'name who: "no other program", "no caller"; or use the passive voice'],
  ["whoever|whomever|who(?:so)?ever", 'name who: "the caller that", "programs that"'],
  ["somebody|anybody", 'name who: "another program", "the user"'],
  ["hears? of|is told of", '"is notified of", "receives"'],
  ["farewells?", "name the command: logout, disconnect"],
  ["as if nothing (?:had|has)(?: been| happened)?", "say what stays unchanged"],
  ["at hand|in hand|to hand", '"present", "cached", "known"'],
  ["gone for good|for good(?= |[.,;:)]|$)", '"permanently"'],
  ["has (?:its|his|their|a) say", "say what decides"],
  ["speaks? against|speaks? for", "name the reason"],
  ["come by|came by|comes by", '"obtain", "get"'],
  ["of its own accord", '"automatically", "without a request"'],
  ["tells? nobody", '"does not report"'],
  ["what (?:be)?comes of", '"the result of", "what happens to"'],
  ["makes? of (?:it|them|what)|(?<=what [a-z`]+ )makes of", '"the result of"'],
  ["though it be|be (?:it|they) (?:only|one|of)", '"even if it is"'],
  ["is none of (?:its|his|their|our|whose)", "say whose task it is"],
  ["as good as (?:any|none|gone|out|never|another)", '"equivalent to", "almost never"'],
  ["will do\\b(?! )", '"is sufficient"'],
  ["where there (?:is|are) (?:one|none|any)", '"if there is one"'],
  ["puts? up with|put up with", '"tolerates"'],
  ["(?:gets|getting|got) at the card", '"reaches the card"'],
  ["on (?:his|its|their) way(?= out|;|,)", "say what is still pending"],
  ["nothing (?:that )?speaks", "name the condition"],
];

const TEXT = /\.(?:ts|js|cjs|mjs|md|cpp|c|sh|yml)$/u;
const PLACES = ["src", "test", "docs", "bench", "scripts", "examples", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const LEFT_OUT = /(?:^|\/)(?:node_modules|words(?:\.test)?\.[jt]s|package-lock\.json|recordings)(?:\/|$)/u;

/** The lines of `text` with a phrase of the table: a line number from 1, the phrase, and the plain way. */
function findPhrases(text) {
  const found = [];
  // Comment markers and line breaks count as one space, so that a phrase over two lines is found too.
  const flat = text.replace(/\s*\n\s*(?:\/\/|\*(?!\/))?\s*/gu, (gap) => " ".repeat(Math.max(1, gap.length)));
  for (const [phrase, plain] of PHRASES) {
    const pattern = new RegExp(`\\b(?:${phrase.replaceAll(" ", " +")})(?![\\w])`, "giu");
    for (const match of flat.matchAll(pattern)) {
      found.push({ line: text.slice(0, match.index).split("\n").length, phrase: match[0].replace(/ +/gu, " "), plain });
    }
  }
  return found.sort((a, b) => a.line - b.line);
}

function filesIn(path) {
  if (LEFT_OUT.test(path)) return [];
  if (!statSync(path).isDirectory()) return TEXT.test(path) ? [path] : [];
  return readdirSync(path).flatMap((name) => filesIn(join(path, name)));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const given = process.argv.slice(2);
  for (const file of (given.length > 0 ? given : PLACES).flatMap(filesIn)) {
    for (const { line, phrase, plain } of findPhrases(readFileSync(file, "utf8"))) {
      console.error(`${file}:${line}: "${phrase}"; plain: ${plain}`);
      process.exitCode = 1;
    }
  }
}
