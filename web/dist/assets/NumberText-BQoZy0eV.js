<<<<<<<< HEAD:web/dist/assets/NumberText-CxtxtHnb.js
import{ht as e,y as t}from"./index-Dspkm-5f.js";import{a as n,i as r}from"./number-DFMaw8mn.js";function i({value:i,digits:a=4}){let o=t(i);return e(`data`,{class:`number ${n(i)}`,value:o,"data-value":o,title:o,children:r(i,a)})}export{i as t};
========
import{ht as e,y as t}from"./index-B2Fu6DXw.js";import{a as n,i as r}from"./number-DFMaw8mn.js";function i({value:i,digits:a=4}){let o=t(i);return e(`data`,{class:`number ${n(i)}`,value:o,"data-value":o,title:o,children:r(i,a)})}export{i as t};
>>>>>>>> 9acba8e (web: show numbers before formulas, and write the address at a pace):web/dist/assets/NumberText-BQoZy0eV.js
