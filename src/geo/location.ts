/**
 * Great circles, and which continent a country belongs to.
 *
 * The Earth is taken as a sphere: against the ellipsoid that is wrong by half a percent at most, which is less than
 * what databases are wrong about where an address is.
 *
 * @module
 */

/** A point on the Earth, in degrees: north and east are positive. */
export interface Location {
  /** −90 to 90. */
  readonly latitude: number;
  /** −180 to 180. */
  readonly longitude: number;
}

/** Mean radius (R₁ of WGS 84), so that distances come out in kilometres. */
const EARTH_RADIUS_KM = 6371.0088;

const RADIANS = Math.PI / 180;

/**
 * The length of the great circle between two places, in kilometres; exact for near and for far ones.
 *
 * Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984), p. 159.
 */
export function haversineKm(a: Location, b: Location): number {
  const halfHeight = Math.sin((b.latitude - a.latitude) * RADIANS / 2);
  const halfWidth = Math.sin((b.longitude - a.longitude) * RADIANS / 2);
  const h = halfHeight * halfHeight +
    Math.cos(a.latitude * RADIANS) * Math.cos(b.latitude * RADIANS) * halfWidth * halfWidth;
  // Rounding may lift antipodes above 1, of which there is no arc sine.
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(Math.min(1, h)));
}

/**
 * The point on the unit sphere under a place: x points to 0° N 0° E, y to 0° N 90° E, z to the pole.
 *
 * Of two places the one with the larger dot product is the nearer one, so comparing distances takes no sine.
 *
 * @param out takes x, y and z, from `at` on; the caller's
 */
export function unitVector(latitude: number, longitude: number, out: Float64Array, at = 0): void {
  const across = Math.cos(latitude * RADIANS);
  out[at] = across * Math.cos(longitude * RADIANS);
  out[at + 1] = across * Math.sin(longitude * RADIANS);
  out[at + 2] = Math.sin(latitude * RADIANS);
}

/** Two capital letters as one number, `(first << 8) | second`. @param text two letters of ASCII */
export function twoLetters(text: string): number {
  return text.charCodeAt(0) << 8 | text.charCodeAt(1);
}

/**
 * The continent of a country, both as `twoLetters`; 0 for what is no country.
 *
 * The table is GeoNames', by which MaxMind goes, too: Cyprus, Turkey and Russia each belong to one continent.
 */
export function continentOf(country: number): number {
  const index = indexOf(country);
  return index < 0 ? 0 : CONTINENT_BY_COUNTRY[index]!;
}

const COUNTRIES: Readonly<Record<string, string>> = {
  AF:
    "AO BF BI BJ BW CD CF CG CI CM CV DJ DZ EG EH ER ET GA GH GM GN GQ GW KE KM LR LS LY MA MG ML MR MU MW " +
    "MZ NA NE NG RE RW SC SD SH SL SN SO SS ST SZ TD TG TN TZ UG YT ZA ZM ZW",
  AN: "AQ BV GS HM TF",
  AS:
    "AE AF AM AZ BD BH BN BT CC CN GE HK ID IL IN IO IQ IR JO JP KG KH KP KR KW KZ LA LB LK MM MN MO MV MY " +
    "NP OM PH PK PS QA SA SG SY TH TJ TM TR TW UZ VN YE",
  EU:
    "AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC " +
    "MD ME MK MT NL NO PL PT RO RS RU SE SI SJ SK SM UA VA XK",
  NA:
    "AG AI AW BB BL BM BQ BS BZ CA CR CU CW DM DO GD GL GP GT HN HT JM KN KY LC MF MQ MS MX NI PA PM PR SV " +
    "SX TC TT US VC VG VI",
  OC: "AS AU CK CX FJ FM GU KI MH MP NC NF NR NU NZ PF PG PN PW SB TK TL TO TV UM VU WF WS",
  SA: "AR BO BR CL CO EC FK GF GY PE PY SR UY VE",
};

/** By `indexOf` of the country; 676 words. */
const CONTINENT_BY_COUNTRY = tableOf(COUNTRIES);

function tableOf(countries: Readonly<Record<string, string>>): Uint16Array {
  const table = new Uint16Array(26 * 26);
  for (const [continent, list] of Object.entries(countries)) {
    for (const country of list.split(" ")) table[indexOf(twoLetters(country))] = twoLetters(continent);
  }
  return table;
}

/** 0–675; −1 when these aren't two capital letters. */
function indexOf(letters: number): number {
  const first = (letters >> 8) - 65;
  const second = (letters & 255) - 65;
  return first < 0 || first > 25 || second < 0 || second > 25 ? -1 : first * 26 + second;
}
