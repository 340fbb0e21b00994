/**
 * The reference as one page of HTML without scripts, so that it works under the strictest content policy, offline,
 * and in a text browser.
 *
 * @module
 */
import {
  errorsOf,
  objectsOf,
  type OpenApiDocument,
  type ReferenceBody,
  type ReferenceObject,
  type ReferenceOperation,
  sectionsOf,
} from "./reference.ts";

/** What the page may load: its style sheet from here, and nothing else. */
export const PAGE_POLICY: string =
  "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'";

/** Writes the page; its style sheet lies at `styleHref`, the document at `documentHref`. */
export function referencePage(
  openapi: OpenApiDocument,
  { styleHref, documentHref }: { readonly styleHref: string; readonly documentHref: string },
): string {
  const sections = sectionsOf(openapi);
  const objects = objectsOf(openapi);
  const { title, version, description } = openapi.info;
  return `<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="${escapeHtml(styleHref)}">
<nav>
<strong>${escapeHtml(title)}</strong> ${escapeHtml(version)}
<ul>
<li><a href="#errors">Errors</a></li>
${sections.map(({ name }) => `<li><a href="#${anchor(name)}">${escapeHtml(name)}</a></li>`).join("\n")}
<li><a href="#objects">Objects</a></li>
<li><a href="${escapeHtml(documentHref)}">OpenAPI document</a></li>
</ul>
</nav>
<main>
<h1>${escapeHtml(title)}</h1>
${paragraphs(description ?? "")}
<h2 id="errors">Errors</h2>
${
    table(
      ["status", "meaning"],
      errorsOf(openapi).map(({ status, description }) => [escapeHtml(status), inline(description)]),
    )
  }
${
    sections.map(({ name, description, operations }) =>
      `<h2 id="${anchor(name)}">${escapeHtml(name)}</h2>\n${paragraphs(description)}\n${
        operations.map(operationHtml).join("\n")
      }`
    ).join("\n")
  }
<h2 id="objects">Objects</h2>
${objects.map(objectHtml).join("\n")}
</main>
</html>
`;
}

/** The page's style sheet: light or dark as the reader's system is. */
export const PAGE_STYLE =
  `:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { margin: 0; font: 15px/1.5 system-ui, sans-serif; display: grid; grid-template-columns: 14rem minmax(0, 60rem); }
nav { position: sticky; top: 0; align-self: start; padding: 1.5rem; }
nav ul { list-style: none; padding: 0; }
main { padding: 1.5rem; }
code { font: 13px/1.4 ui-monospace, monospace; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; }
summary b { display: inline-block; min-width: 4.5rem; font: 600 13px ui-monospace, monospace; }
summary span { opacity: .7; margin-left: .75rem; }
table { border-collapse: collapse; width: 100%; margin: .75rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .5rem; border-bottom: 1px solid var(--line); }
@media (max-width: 50rem) { body { display: block; } nav { position: static; } }
`;

function operationHtml(operation: ReferenceOperation): string {
  const { method, path, summary, description, parameters, bodies, answers, errors } = operation;
  return `<details><summary><b>${method}</b> <code>${escapeHtml(path)}</code><span>${
    escapeHtml(summary)
  }</span></summary>
${paragraphs(description)}
${
    table(
      ["parameter", "in", "meaning"],
      parameters.map((parameter) => [
        code(parameter.name),
        escapeHtml(parameter.in),
        escapeHtml(parameter.description ?? parameter.schema?.description ?? ""),
      ]),
    )
  }
${bodies.length === 0 ? "" : `<p>Body: ${bodies.map(bodyHtml).join(", ")}</p>`}
${
    table(
      ["status", "meaning", "body"],
      answers.map((answer) => [
        escapeHtml(answer.status),
        escapeHtml(answer.description),
        answer.bodies.map(bodyHtml).join(", "),
      ]),
    )
  }
${errors.length === 0 ? "" : `<p><a href="#errors">Errors</a>: ${errors.map(escapeHtml).join(", ")}</p>`}
</details>`;
}

function objectHtml({ name, description, fields }: ReferenceObject): string {
  const rows = fields.map((field) => [
    code(field.name),
    code(field.type),
    escapeHtml(field.presence),
    escapeHtml(field.description),
  ]);
  return `<h3 id="object-${anchor(name)}">${escapeHtml(name)}</h3>
${paragraphs(description)}
${table(["field", "type", "", "meaning"], rows)}`;
}

function bodyHtml({ mediaType, type }: ReferenceBody): string {
  return `${code(mediaType)} ${type === "string" ? "" : linkObject(type)}`;
}

/** `Pool` and `Pool[]` lead to the object. */
function linkObject(type: string): string {
  const name = type.replace(/\[\]$/, "");
  return /^[A-Z]\w*$/.test(name)
    ? `<a href="#object-${anchor(name)}">${escapeHtml(type)}</a>`
    : escapeHtml(type);
}

/** Cells are HTML already. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join("")}</tr>`;
  return `<table>${row(head, "th")}${rows.map((cells) => row(cells, "td")).join("")}</table>`;
}

/** The little Markdown that descriptions use: paragraphs, list items, code and blocks of it. */
function paragraphs(text: string): string {
  return text.split(/\n{2,}/).filter((block) => block.trim() !== "").map((block) => {
    const fenced = /^```\w*\n(.*)\n```$/s.exec(block);
    if (fenced) return `<pre><code>${escapeHtml(fenced[1]!)}</code></pre>`;
    const items = block.split("\n").filter((line) => line.startsWith("- "));
    return items.length > 0
      ? `<ul>${items.map((item) => `<li>${inline(item.slice(2))}</li>`).join("")}</ul>`
      : `<p>${inline(block)}</p>`;
  }).join("\n");
}

function inline(text: string): string {
  return escapeHtml(text).replace(/`([^`]+)`/g, "<code>$1</code>");
}

function code(text: string): string {
  return `<code>${escapeHtml(text)}</code>`;
}

function anchor(text: string): string {
  return text.toLowerCase().replace(/[^a-z0-9]+/g, "-");
}

function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll(
    '"',
    "&quot;",
  );
}
