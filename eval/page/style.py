"""The style sheet: one set of colours for light, one for dark; drawings know classes alone.

The colours are Okabe and Ito's (Color Universal Design, 2008), which colour-blind people tell
apart; the dark ones are lighter where the originals would be hard to see.
"""

COLOURS = """
:root{color-scheme:light dark;--page:#fff;--ink:#1d1f21;--soft:#5c6166;--rule:#d9dcdf;
--tint:#f4f5f6;--warn:#fff1d6;--link:#005a8f;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#e69f00;--c5:#56b4e9;--c6:#6e7479}
@media (prefers-color-scheme:dark){:root{--page:#15171a;--ink:#e8eaec;--soft:#a6adb3;--rule:#3a3f45;
--tint:#1f2327;--warn:#4a3508;--link:#7cc4f5;
--c0:#3d9fdc;--c1:#f0803c;--c2:#1fbf92;--c3:#dd94bd;--c4:#efb02f;--c5:#86cdf5;--c6:#aab1b7}}
@media print{:root{color-scheme:light;--page:#fff;--ink:#000;--soft:#444;--rule:#ccc;--tint:#fff;
--warn:#fff;--link:#000;
--c0:#0072b2;--c1:#d55e00;--c2:#009e73;--c3:#cc79a7;--c4:#e69f00;--c5:#56b4e9;--c6:#6e7479}}
.k0{--c:var(--c0)}.k1{--c:var(--c1)}.k2{--c:var(--c2)}.k3{--c:var(--c3)}.k4{--c:var(--c4)}
.k5{--c:var(--c5)}.k6{--c:var(--c6)}.ink{--c:var(--ink)}
"""

DRAWINGS = """
svg text{font:10.5px system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;fill:var(--ink)}
svg text.soft{fill:var(--soft)}svg text.end{text-anchor:end}svg text.middle{text-anchor:middle}
svg text.halo{paint-order:stroke;stroke:var(--page);stroke-width:3px}
svg text.strong{font-weight:600;font-size:11.5px}svg text.tiny{font-size:8px}
svg .grid{stroke:var(--rule);stroke-width:.7;fill:none}
svg .axis{stroke:var(--soft);stroke-width:1;fill:none}
svg .tick{stroke:var(--ink);stroke-width:1.6;fill:none}
svg .dashed{stroke-width:1;stroke-dasharray:4 2}
svg .leader{stroke:var(--soft);stroke-width:.6;fill:none;opacity:.7}
svg .curve{stroke:var(--c);stroke-width:1.7;fill:none;stroke-linejoin:round}
svg .interval{stroke:var(--c);stroke-width:2.4;fill:none}
svg .mark{fill:var(--c);stroke:var(--page);stroke-width:.15}
svg .area{fill:var(--c);stroke:var(--page);stroke-width:.4}
svg .part{fill:var(--c);stroke:var(--page);stroke-width:1}
svg .cell{fill:var(--c)}
svg .ring{fill:none;stroke:var(--ink);stroke-width:1}
svg .front{fill:none;stroke:var(--soft);stroke-width:1.2;stroke-dasharray:3 2}
svg .corner{fill:var(--tint);stroke:var(--rule);stroke-width:.7}
"""

PAGE = """
*{box-sizing:border-box}
body{margin:0 auto;padding:1rem;max-width:76rem;background:var(--page);color:var(--ink);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,Arial,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.2rem;margin:0;display:inline}
h3{font-size:1rem;margin:1.2rem 0 .4rem}
a{color:var(--link)}
.verdict{font-size:1.15rem;margin:.5rem 0 1rem;padding-left:.8rem;border-left:4px solid var(--c0)}
.warning{background:var(--warn);border:2px solid var(--c4);border-radius:6px;padding:.7rem 1rem;
font-weight:600}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;font-size:.9rem}
dt{color:var(--soft)}dd{margin:0}
details.part{border-top:1px solid var(--rule);padding:.8rem 0}summary{cursor:pointer}
.scroll{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-size:.86rem;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .6rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
th:first-child{text-align:left;position:sticky;left:0;background:var(--page)}
thead th{color:var(--soft);font-weight:600}tbody th{font-weight:400}
tr.strong th,tr.strong td{font-weight:700}
td.long{white-space:normal;text-align:left;min-width:18rem}
.figures{display:grid;margin-top:1.2rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,30rem),1fr));
gap:1.2rem 2rem;align-items:start}
figure{margin:0;min-width:0}figure.wide{grid-column:1/-1}
figure h3{margin:.3rem 0}
.drawings{display:grid;overflow-x:auto;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr))}
svg{display:block;width:100%;height:auto}
figcaption{font-size:.84rem;color:var(--soft);margin-top:.3rem}
footer{border-top:1px solid var(--rule);font-size:.84rem;color:var(--soft);margin-top:1rem}
@media (max-width:34rem){body{padding:.7rem}dl{grid-template-columns:1fr}dd{margin-bottom:.4rem}
th:first-child{min-width:7.4rem;max-width:9rem;white-space:normal}th,td{padding:.2rem .45rem}}
@media print{body{max-width:none;padding:0}figure,tr{break-inside:avoid}.scroll{overflow:visible}
table{font-size:.7rem}th,td{padding:.1rem .3rem}
details.part::details-content{content-visibility:visible}}
"""
