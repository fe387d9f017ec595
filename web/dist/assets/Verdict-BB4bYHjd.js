<<<<<<<< HEAD:web/dist/assets/Verdict-BB4bYHjd.js
import{t as e}from"./verdict-5NZekQbN.js";import{ht as t}from"./index-Dspkm-5f.js";function n({verdict:n,isShort:r=!1}){let{word:i,glyph:a,look:o}=e(n);return t(`span`,{class:`verdict ${o}`,"data-verdict":o,children:[t(`span`,{"aria-hidden":`true`,children:a}),` `,t(`span`,{class:r?`visually-hidden`:``,children:i})]})}export{n as t};
========
import{t as e}from"./verdict-uh9wCV-U.js";import{ht as t}from"./index-B2Fu6DXw.js";function n({verdict:n,isShort:r=!1}){let{word:i,glyph:a,look:o}=e(n);return t(`span`,{class:`verdict ${o}`,"data-verdict":o,children:[t(`span`,{"aria-hidden":`true`,children:a}),` `,t(`span`,{class:r?`visually-hidden`:``,children:i})]})}export{n as t};
>>>>>>>> 9acba8e (web: show numbers before formulas, and write the address at a pace):web/dist/assets/Verdict-CgJB116J.js
