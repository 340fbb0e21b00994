/**
 * The reference of the API for readers, made from the OpenAPI document: as Markdown for `docs/API.md`, and in the
 * pieces that `reference_page.ts` makes HTML of.
 *
 * @module
 */

/** As much of an OpenAPI 3.1 document as the reference shows; the whole document has this shape as well. */
export type OpenApiDocument = {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string; readonly description?: string };
  readonly tags?: readonly { readonly name: string; readonly description?: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, SchemaObject>> };
};

/** An operation of OpenAPI 3.1. */
export type OperationObject = {
  readonly operationId?: string;
  readonly tags?: readonly string[];
  readonly summary?: string;
  readonly description?: string;
  readonly parameters?: readonly ParameterObject[];
  readonly requestBody?: { readonly description?: string; readonly content: Content };
  readonly responses: Readonly<Record<string, ResponseObject>>;
};

/** A parameter of OpenAPI 3.1. */
export type ParameterObject = {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly description?: string;
  readonly schema?: SchemaObject;
};

/** A response of OpenAPI 3.1. */
export type ResponseObject = {
  readonly description: string;
  readonly content?: Content;
};

/** A JSON Schema, as far as the reference can show it. */
export type SchemaObject = {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly items?: SchemaObject;
  readonly properties?: Readonly<Record<string, SchemaObject>>;
  readonly required?: readonly string[];
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly anyOf?: readonly SchemaObject[];
  readonly oneOf?: readonly SchemaObject[];
  readonly allOf?: readonly SchemaObject[];
};

/** Bodies by media type. */
export type Content = Readonly<Record<string, { readonly schema?: SchemaObject }>>;

/** One subject with its operations. */
export interface ReferenceSection {
  /** The tag. */
  readonly name: string;
  /** What the subject is. */
  readonly description: string;
  /** In the order of the document. */
  readonly operations: readonly ReferenceOperation[];
}

/** One operation, ready to be shown. */
export interface ReferenceOperation {
  /** Upper-case. */
  readonly method: string;
  /** With parameters in braces. */
  readonly path: string;
  /** One line. */
  readonly summary: string;
  /** More, or empty. */
  readonly description: string;
  /** Of path, query and headers. */
  readonly parameters: readonly ParameterObject[];
  /** What may be sent; empty = no body. */
  readonly bodies: readonly ReferenceBody[];
  /** What it answers on success, by ascending status. */
  readonly answers: readonly ReferenceAnswer[];
  /** Statuses of its errors, ascending; what they mean is said once, by `errorsOf`. */
  readonly errors: readonly string[];
}

/** A body in one media type. */
export interface ReferenceBody {
  /** Such as `application/json`. */
  readonly mediaType: string;
  /** Name of an object, or a few words. */
  readonly type: string;
}

/** One status an operation answers with. */
export interface ReferenceAnswer {
  /** The status code. */
  readonly status: string;
  /** What it means. */
  readonly description: string;
  /** What comes with it; empty = no body. */
  readonly bodies: readonly ReferenceBody[];
}

/** One object with its fields. */
export interface ReferenceObject {
  /** The schema's name. */
  readonly name: string;
  /** What it is, or empty. */
  readonly description: string;
  /** In the order of the schema. */
  readonly fields: readonly ReferenceField[];
}

/** One field of an object. */
export interface ReferenceField {
  /** The key. */
  readonly name: string;
  /** In a few words. */
  readonly type: string;
  /** `required`, or `default VALUE`, or empty. */
  readonly presence: string;
  /** What it means. */
  readonly description: string;
}

/** Writes the reference as Markdown. */
export function apiReference(openapi: OpenApiDocument): string {
  const sections = sectionsOf(openapi).map(sectionMarkdown);
  const objects = objectsOf(openapi).map(objectMarkdown);
  return [
    "# REST API",
    `<!-- Generated from the OpenAPI document by deno task generate. -->`,
    openapi.info.description ?? "",
    "## Errors",
    "Each is an `application/problem+json` with a [Problem](#problem).",
    table(["status", "meaning"], errorsOf(openapi).map(({ status, description }) => [status, description])),
    ...sections,
    "## Objects",
    ...objects,
  ].filter((part) => part !== "").join("\n\n") + "\n";
}

/** The operations by tag, in the order of the document's tags. */
export function sectionsOf(openapi: OpenApiDocument): ReferenceSection[] {
  const operations = Object.entries(openapi.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ method: method.toUpperCase(), path, operation }))
  );
  return (openapi.tags ?? []).map(({ name, description }) => ({
    name,
    description: description ?? "",
    operations: operations.filter(({ operation }) => operation.tags?.includes(name)).map((found) => ({
      method: found.method,
      path: found.path,
      summary: found.operation.summary ?? "",
      description: found.operation.description ?? "",
      parameters: found.operation.parameters ?? [],
      bodies: bodiesOf(found.operation.requestBody?.content),
      answers: Object.entries(found.operation.responses).filter(([status]) => !isError(status)).map(answerOf),
      errors: Object.keys(found.operation.responses).filter(isError),
    })),
  }));
}

/** What each status of an error means, ascending. */
export function errorsOf(openapi: OpenApiDocument): ReferenceAnswer[] {
  const answers = Object.values(openapi.paths).flatMap((methods) => Object.values(methods)).flatMap(
    (operation) => Object.entries(operation.responses).filter(([status]) => isError(status)).map(answerOf),
  );
  return [...new Map(answers.map((answer) => [answer.status, answer])).values()].sort((a, b) =>
    Number(a.status) - Number(b.status)
  );
}

/** The named objects with their fields. */
export function objectsOf(openapi: OpenApiDocument): ReferenceObject[] {
  return Object.entries(openapi.components.schemas).filter(([, schema]) => schema.properties).map((
    [name, schema],
  ) => ({
    name,
    description: schema.description ?? "",
    fields: Object.entries(schema.properties ?? {}).map(([field, fieldSchema]) => ({
      name: field,
      type: typeOf(fieldSchema),
      presence: presenceOf(fieldSchema, schema.required?.includes(field) ?? false),
      description: fieldSchema.description ?? "",
    })),
  }));
}

function isError(status: string): boolean {
  return Number(status) >= 400;
}

function answerOf([status, { description, content }]: [string, ResponseObject]): ReferenceAnswer {
  return { status, description, bodies: bodiesOf(content) };
}

function bodiesOf(content: Content = {}): ReferenceBody[] {
  return Object.entries(content).map(([mediaType, { schema }]) => ({
    mediaType,
    type: schema ? typeOf(schema) : "",
  }));
}

/** A schema in a few words: `string`, `Pool[]`, `integer 1–65535 or null`. */
function typeOf(schema: SchemaObject): string {
  if (schema.$ref) return schema.$ref.slice(schema.$ref.lastIndexOf("/") + 1);
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = schema.type === undefined ? schema.anyOf ?? schema.oneOf ?? schema.allOf : undefined;
  if (choices) return [...new Set(choices.map(typeOf))].join(" or ");
  const types = typeof schema.type === "string" ? [schema.type] : schema.type ?? ["any"];
  return types.map((type) => {
    if (type === "array") return `${schema.items ? typeOf(schema.items) : "any"}[]`;
    const numeric = type === "integer" || type === "number";
    if (!numeric || schema.minimum === undefined || schema.maximum === undefined) return type;
    return `${type} ${schema.minimum}–${schema.maximum}`;
  }).join(" or ");
}

function presenceOf(schema: SchemaObject, required: boolean): string {
  if (schema.default !== undefined) return `default ${JSON.stringify(schema.default)}`;
  return required ? "required" : "";
}

function sectionMarkdown({ name, description, operations }: ReferenceSection): string {
  return [`## ${name}`, description, ...operations.map(operationMarkdown)].filter((part) => part !== "")
    .join("\n\n");
}

function operationMarkdown(operation: ReferenceOperation): string {
  const { method, path, summary, description, parameters, bodies, answers, errors } = operation;
  return [
    `### \`${method} ${path}\``,
    summary,
    description,
    table(
      ["parameter", "in", "type", "meaning"],
      parameters.map((parameter) => [
        `\`${parameter.name}\``,
        parameter.in,
        parameter.schema ? typeOf(parameter.schema) : "",
        parameter.description ?? parameter.schema?.description ?? "",
      ]),
    ),
    bodies.length === 0 ? "" : `Body: ${bodies.map(bodyMarkdown).join(", ")}`,
    table(
      ["status", "meaning", "body"],
      answers.map((answer) => [
        answer.status,
        answer.description,
        answer.bodies.map(bodyMarkdown).join(", "),
      ]),
    ),
    errors.length === 0 ? "" : `[Errors](#errors): ${errors.join(", ")}`,
  ].filter((part) => part !== "").join("\n\n");
}

function objectMarkdown({ name, description, fields }: ReferenceObject): string {
  return [
    `### ${name}`,
    description,
    table(
      ["field", "type", "", "meaning"],
      fields.map((field) => [`\`${field.name}\``, field.type, field.presence, field.description]),
    ),
  ].filter((part) => part !== "").join("\n\n");
}

function bodyMarkdown({ mediaType, type }: ReferenceBody): string {
  const name = type.replace(/\[\]$/, "");
  const shown = /^[A-Z]\w*$/.test(name)
    ? `[${type.replaceAll(/[[\]]/g, "\\$&")}](#${name.toLowerCase()})`
    : type;
  return `\`${mediaType}\`${type === "" || type === "string" ? "" : ` ${shown}`}`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replaceAll("\n", " ")).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}
