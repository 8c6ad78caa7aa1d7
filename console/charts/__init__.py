"""Charts drawn on the server as SVG: recoloured and printed by the style sheet, readable without JavaScript."""
