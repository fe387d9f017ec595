// node_modules/preact/dist/preact.mjs
var e, t, n, r, i, a, o, s, c, l, u = Symbol.for("pv"), d = {}, f = [], p = /^m(i|n|o|s|text|space)$/, m = Array.isArray, h = f.slice, g = Object.assign;
function _(e) {
	e && e.parentNode && e.remove();
}
function v(n, r, i, a, o) {
	var s = {
		type: n,
		props: r,
		key: i,
		ref: a,
		__k: null,
		__: null,
		__b: 0,
		__e: null,
		__c: null,
		constructor: u,
		__v: o || ++t,
		__i: -1,
		__u: 0
	};
	return !o && e.vnode && e.vnode(s), s;
}
function y(e) {
	return e.children;
}
function b(e, t) {
	this.props = e, this.context = t, this.__g = 0;
}
function x(e, t) {
	if (t == null) return e.__ && x(e.__, e.__i + 1);
	for (var n; t < e.__k.length; t++) if ((n = e.__k[t]) && n.__e) return n.__e;
	return typeof e.type != "function" || e.props.__P ? null : x(e);
}
function S(t) {
	var n, r = t.__v, i = r.__e, a = [], o = [], s = t.__P;
	s && ((n = g({ constructor: u }, r)).__v = r.__v + 1, e.vnode && e.vnode(n), j(s, n, r, t.__n, s.namespaceURI, 32 & r.__u ? [i] : null, a, i || x(r), 32 & r.__u, o), n.__v = r.__v, n.__.__k[n.__i] = n, N(a, n, o), r.__ = r.__e = null, n.__e != i && C(n));
}
function C(e) {
	if ((e = e.__) && e.__c && !e.props.__P) return e.__e = null, e.__k.some(function(t) {
		return t && (e.__e = t.__e);
	}), C(e);
}
function w(t) {
	(8 & t.__g || (t.__g |= 8, n.push(t), i++)) && r == e.debounceRendering || ((r = e.debounceRendering) || queueMicrotask)(T);
}
function T() {
	try {
		for (var e, t = 1; n.length;) n.length > t && n.sort(a), e = n.shift(), t = n.length, 8 & e.__g && S(e);
	} finally {
		(i = n.length) && (r || queueMicrotask)(T);
	}
}
function ee(e, t, n, r, i, a, o, s, c, l, u) {
	var p, m, h, g, _, v, y = r.__k || f, b = t.length;
	for (c = E(n, t, y, c, b), p = 0; p < b; p++) (h = n.__k[p]) != null && (m = ~h.__i && y[h.__i] || d, h.__i = p, v = j(e, h, m, i, a, o, s, c, l, u), g = h.__e, (m.ref != h.ref || 8 & m.__u) && (m.ref && P(m.ref, null, h, m), h.ref && u.push(h.ref, h.__c || g, h)), _ ||= g, 4 & h.__u ? (c = D(h, c, e, !m.__v), m.__e && (m.__e = null)) : typeof h.type == "function" && v !== void 0 ? c = v : g && (c = g.nextSibling), h.__u &= -21);
	return n.__e = _, c;
}
function E(e, t, n, r, i) {
	var a, o, s, c, l, d, f, p, h, g = n.length, _ = g, b = 0, S = 0, C = e.__k = Array(i);
	for (a = 0; a < i; a++) (o = t[a]) != null && typeof o != "boolean" && typeof o != "function" ? (typeof o != "object" || o.constructor === String ? o = C[a] = v(null, o) : m(o) ? o = C[a] = v(y, { children: o }) : o.constructor === u && o.__b ? o = C[a] = v(o.type, o.props, o.key, o.ref, o.__v) : C[a] = o, c = a + b, o.__ = e, o.__b = e.__b + 1, s = null, ~(l = o.__i = O(o, n, c, _)) && (_--, (s = n[l]) && (s.__u |= 2)), s && s.__v ? (o.__u |= 16, l == c - 1 ? b-- : l == c + 1 ? b++ : l != c && (l > c ? b-- : b++, S = 1)) : (~l || (i > g ? b-- : i < g && b++), typeof o.type != "function" && (o.__u |= 4))) : C[a] = null;
	if (S) {
		for (d = [], f = [], a = 0; a < i; a++) if ((o = C[a]) && 16 & o.__u) {
			for (b = 0, p = d.length; b < p;) d[h = b + p >> 1] < o.__i ? b = h + 1 : p = h;
			d[b] = o.__i, f[a] = b + 1;
		}
		for (b = d.length; a--;) f[a] && (f[a] == b ? b-- : C[a].__u |= 4);
	}
	if (_) for (a = 0; a < g; a++) !(s = n[a]) || 2 & s.__u || (s.__e == r && (r = x(s)), ie(s, s));
	return r;
}
function D(e, t, n, r) {
	var i, a, o, s;
	if (typeof e.type == "function") {
		if (e.props.__P) return t;
		if (i = e.__k) for (a = 0; a < i.length; a++) i[a] && (i[a].__ = e, t = D(i[a], t, n, !1));
		return t;
	}
	for (t && !t.parentNode && (t = x(e)) && !t.parentNode && (t = null), o = e.__e, s = t; s && s.nodeType == 8;) s = s.nextSibling;
	for (o != s && (!r && n.moveBefore && o.parentNode ? n.moveBefore(o, t) : n.insertBefore(o, t || null)), t = o; (t &&= t.nextSibling) && t.nodeType == 8 && !t.data.startsWith("$s"););
	return t;
}
function O(e, t, n, r) {
	var i, a = e.key, o = e.type, s = t[n], c = s && !(2 & s.__u);
	if (s === null && a == null || c && a == s.key && o == s.type) return n;
	if (r > +!!c) {
		for (i = n - 1; i >= 0; i--) if ((s = t[i]) && !(2 & s.__u) && a == s.key && o == s.type) return i;
		for (i = n + 1; i < t.length; i++) if ((s = t[i]) && !(2 & s.__u) && a == s.key && o == s.type) return i;
	}
	return -1;
}
function k(e, t, n) {
	n ??= "", t[0] == "-" ? e.setProperty(t, n) : e[t] = n;
}
function A(e, t, n, r, i) {
	var a, o;
	if (t == "style") {
		if (typeof n == "string") e.style.cssText = n;
		else {
			if (typeof r == "string" && (e.style.cssText = r = ""), r) for (t in r) n && t in n || k(e.style, t);
			if (n) for (t in n) r && n[t] == r[t] || k(e.style, t, n[t]);
		}
	} else if (t[0] == "o" && t[1] == "n") typeof n != "function" && (n = null), typeof r != "function" && (r = null), (e.__e ||= {})[t] = n, n && r || (o = l[t] || (l[t] = te(t)), (e.__a ||= {})[t] = c, a = t != (t = t.replace(s, "$1")), (t = t.slice(2))[0] < "a" && (t = t.toLowerCase()), n ? e.addEventListener(t, o, a) : e.removeEventListener(t, o, a));
	else {
		if (i == "http://www.w3.org/2000/svg") t = t.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
		else if (t != "width" && t != "height" && t != "href" && t != "list" && t != "form" && t != "tabIndex" && t != "download" && t != "rowSpan" && t != "colSpan" && t != "role" && t != "popover" && t in e) try {
			e[t] = n ?? "";
			return;
		} catch {}
		if (typeof n == "function") return;
		n == null || !1 === n && t[4] != "-" ? e.removeAttribute(t) : e.setAttribute(t, t == "popover" && n == 1 ? "" : n);
	}
}
function te(t) {
	return function(n) {
		var r = this.__e;
		if (r) {
			if (r = r[t], n[o] == null) n[o] = c++;
			else if (n[o] < this.__a[t]) return;
			return r(e.event ? e.event(n) : n);
		}
	};
}
function j(t, n, r, i, a, o, s, c, l, d) {
	var p, h, v, S, C, w, T, E, D, O, k, A, te, j, N, P, F, I, L = n.type;
	if (n.constructor !== u) return null;
	128 & r.__u && (l = 32 & r.__u, p = r.__c.__z) && (n.__u |= l, h = o = [], p.nodeType == 8 ? c = M(p, o) : o.push(p), c = o[0] || c), (p = e.__b) && p(n);
	n: if (typeof L == "function") {
		v = s.length;
		try {
			if (E = n.props, D = (p = L.prototype) && p.render, O = (p = L.contextType) && i[p.__c], k = p ? O ? O.props.value : p.__ : i, (S = r.__c) ? (n.__c = S, 2 & S.__g && (S.__g |= 1)) : (D ? n.__c = S = new L(E, k) : (n.__c = S = new b(E, k), S.constructor = L, S.render = ae), O && O.sub(S), S.state || (S.state = {}), S.__n = i, S.__g |= 8, S.__h = [], S.__k = []), D && (S.__s || (S.__s = S.state), L.getDerivedStateFromProps && (S.__s == S.state && (S.__s = g({}, S.__s)), g(S.__s, L.getDerivedStateFromProps(E, S.__s)))), C = S.props, w = S.state, S.__v = n, r.__c) {
				if (E !== C && D && !L.getDerivedStateFromProps && S.componentWillReceiveProps && S.componentWillReceiveProps(E, k), n.__v == r.__v && !(8 & S.__g) || !(4 & S.__g) && S.shouldComponentUpdate && !1 === S.shouldComponentUpdate(E, S.__s, k)) {
					n.__v != r.__v && (S.props = E, S.state = S.__s, S.__g &= -9), n.__e = r.__e, n.__k = r.__k, n.__k.some(function(e) {
						e && (e.__ = n);
					}), f.push.apply(S.__h, S.__k), S.__k = [], S.__h.length && s.push(S), c = x(r);
					break n;
				}
				S.componentWillUpdate && S.componentWillUpdate(E, S.__s, k), D && S.componentDidUpdate && S.__h.push(function() {
					S.componentDidUpdate(C, w, T);
				});
			} else D && !L.getDerivedStateFromProps && S.componentWillMount && S.componentWillMount(), D && S.componentDidMount && S.__h.push(S.componentDidMount);
			S.context = k, S.props = E, S.__P = t, S.__g &= -5, A = e.__r, te = D ? 25 : 0;
			do
				S.__g &= -9, A && A(n), p = S.render(S.props, S.state = S.__s, S.context);
			while (8 & S.__g && ++te < 25);
			D && (f.push.apply(S.__h, S.__k), S.__k = []), S.state = S.__s, S.getChildContext && (i = g({}, i, S.getChildContext())), D && r.__c && S.getSnapshotBeforeUpdate && (T = S.getSnapshotBeforeUpdate(C, w)), j = p && p.type === y && p.key == null ? p.props.children : p, E.__P && (p = c, a = (t = E.__P).namespaceURI, l = o = null, r.props && r.props.__P != t && (r.__k.some(function(e) {
				e && ie(e, e);
			}), r.__k = null), c = r.__k ? x(r, 0) : null), c = ee(t, m(j) ? j : [j], n, r, i, a, o, s, c, l, d), E.__P && (n.__e = null, c = p), n.__u &= -161, h && h.some(_), S.__h.length && s.push(S), 1 & S.__g && (S.__g &= -4);
		} catch (t) {
			if (s.length = v, n.__v = null, l || o) {
				if (t && t.then) {
					if (n.__u |= 128 | l, o) {
						for (~(F = o.indexOf(c || void 0)) || (F = o.length); (I = o[F - 1]) && I.nodeType == 8;) F--;
						for (; F < o.length; F++) if (I = o[F]) {
							if (o[F] = null, N) {
								if (I == P) break;
							} else {
								if (I.nodeType != 8) break;
								I.data.startsWith("$s") && (P = M(N = I));
							}
						}
					}
					if (!N) {
						for (; c && c.nodeType == 8 && c.nextSibling;) c = c.nextSibling;
						N = c;
					}
					(p = M(N = n.__c.__z || (n.__c.__z = N))) ? (n.__e = N, c = p) : n.__e = c, c &&= c.nextSibling;
				} else o && o.some(_);
			} else n.__e = r.__e;
			n.__k ||= r.__k || [], t && t.then || ne(n), e.__e(t, n, r);
		}
	} else c = n.__e = re(r.__e, n, r, i, a, o, s, l, d, t);
	return (p = e.diffed) && p(n), c;
}
function M(e, t) {
	if (e && e.nodeType == 8 && e.data.startsWith("$s")) for (var n = 1; e = e.nextSibling;) {
		if (e.nodeType == 8) {
			if (e.data.startsWith("$s")) n++;
			else if (e.data.startsWith("/$s") && !--n) return e;
		}
		t && t.push(e);
	}
}
function ne(e) {
	e && (e.__c && (e.__c.__g |= 4), e.__k && e.__k.some(ne));
}
function N(t, n, r) {
	for (var i = 0; i < r.length;) P(r[i++], r[i++], r[i++]);
	e.__c && e.__c(n, t), t.some(function(n) {
		try {
			t = n.__h, n.__h = [], t.some(function(e) {
				e.call(n);
			});
		} catch (t) {
			e.__e(t, n.__v);
		}
	});
}
function re(t, n, r, i, a, o, s, c, l, u) {
	var f, g, v, y, b, S, C, w, T = r.props || d, E = n.props, D = n.type;
	if (D == "svg" ? a = "http://www.w3.org/2000/svg" : D == "math" ? a = "http://www.w3.org/1998/Math/MathML" : a ||= "http://www.w3.org/1999/xhtml", o) {
		for (f = 0; f < o.length; f++) if ((b = o[f]) && (D ? b.localName == D : b.nodeType == 3)) {
			t = b, o[f] = null;
			break;
		}
	}
	if (!t) {
		if (w = u.ownerDocument || document, !D) return w.createTextNode(E);
		t = w.createElementNS(a, D, E.is ? E : u), c &&= (e.__m && e.__m(n, o), !1), o = null;
	}
	if (D) {
		if (u = D == "template" && t.content || t, o = D == "textarea" && E.defaultValue != null ? null : o && h.call(u.childNodes), !c && o) for (T = {}, f = 0; f < t.attributes.length; f++) T[(b = t.attributes[f]).name] = b.value;
		for (f in T) b = T[f], f == "dangerouslySetInnerHTML" ? v = b : f == "children" || f in E || f == "value" && "defaultValue" in E || f == "checked" && "defaultChecked" in E || A(t, f, null, b, a);
		for (f in E) b = E[f], f == "children" ? y = b : f == "dangerouslySetInnerHTML" ? g = b : f == "value" ? S = b : f == "checked" ? C = b : c && typeof b != "function" || T[f] === b || A(t, f, b, T[f], a);
		g ? (c || v && (g.__html == v.__html || g.__html == t.innerHTML) || (t.innerHTML = g.__html), n.__k = []) : (v && (t.textContent = ""), (D == "foreignObject" || a == "http://www.w3.org/1998/Math/MathML" && p.test(D)) && (a = "http://www.w3.org/1999/xhtml"), ee(u, m(y) ? y : [y], n, r, i, a, o, s, o ? o[0] : r.__k && x(r, 0), c, l), o && o.some(_)), c && D != "textarea" || (f = "value", D == "progress" && S == null ? t.removeAttribute(f) : S == null || S === t[f] && (D != "progress" || S) || A(t, f, S, T[f], a), f = "checked", C != null && C != t[f] && A(t, f, C, T[f], a));
	} else T === E || c && t.data == E || (t.data = E);
	return t;
}
function P(t, n, r, i) {
	try {
		typeof t == "function" ? n ? n.__x = t(n) || 1 : (i &&= i.__c || i.__e) && (n = i.__x) && (i.__x = null, typeof n == "function" ? n() : t(null)) : t.current = n;
	} catch (t) {
		e.__e(t, r);
	}
}
function ie(t, n, r) {
	var i, a, o, s;
	if (e.unmount && e.unmount(t), !(i = t.ref) || i.current && i.current != t.__e || P(i, null, n, t), i = t.__c) {
		if (i.componentWillUnmount) try {
			i.componentWillUnmount();
		} catch (t) {
			e.__e(t, n);
		}
		i.__P = i.__n = null;
	}
	if (i = t.__k) for (s = 0; s < i.length; s++) i[s] && ie(i[s], n, typeof t.type != "function" || r && !t.props.__P);
	!r && (i = t.__c) && (i = i.__z) && (a = M(i, o = [])) && (i == t.__e && o.some(_), _(a), _(i)), r || _(t.__e), t.__e = t.__c = t.__ = null;
}
function ae(e, t, n) {
	return this.constructor(e, n);
}
function F(t, n) {
	var r, i, a, o;
	e.__ && e.__(t, n), n.nodeType == 9 && (n = n.documentElement), i = (r = t && 32 & t.__u) ? null : n.__k, n.__k = v(y, { children: [t] }), a = [], o = [], j(n, n.__k, i || d, d, n.namespaceURI, i ? null : n.firstChild ? h.call(n.childNodes) : null, a, i ? i.__e : n.firstChild, r, o), N(a, n.__k, o), n.__k.props.children = null;
}
e = { __e: function(e, t, n, r) {
	for (var a, o, s; t = t.__;) if ((a = t.__c) && !(1 & a.__g)) {
		a.__g |= 4;
		try {
			if ((s = (o = a.constructor) && o.getDerivedStateFromError) && a.setState(o.getDerivedStateFromError(e)), a.componentDidCatch && (a.componentDidCatch(e, r || {}), s = 1), s && 8 & a.__g) return void (a.__g |= 2);
		} catch (t) {
			e = t;
		}
	}
	throw i = 0, e;
} }, t = 0, b.prototype.setState = function(e, t) {
	var n = this.__s;
	n && n != this.state || (n = this.__s = g({}, this.state)), typeof e == "function" && (e = e(g({}, n), this.props)), e && (g(n, e), this.__v && (t && this.__k.push(t), w(this)));
}, b.prototype.forceUpdate = function(e) {
	this.__v && (this.__g |= 4, e && this.__h.push(e), w(this));
}, b.prototype.render = y, n = [], i = 0, a = function(e, t) {
	return e.__v.__b - t.__v.__b;
}, o = Symbol(), s = /(PointerCapture)$|Capture$/i, c = 0, l = {};
// node_modules/preact/hooks/dist/hooks.mjs
var I, L, oe, se, ce = Object.is, R = 0, le = [], ue = [], z = e, de = z.__b, fe = z.__r, pe = z.diffed, me = z.__c, he = z.unmount, ge = z.__;
function B(e, t) {
	z.__h && z.__h(L, e, R || t), R = 0;
	var n = L.__H || (L.__H = {
		__: [],
		__h: []
	});
	return e >= n.__.length && n.__.push({}), n.__[e];
}
function V(e) {
	return R = 1, _e(Oe, e);
}
function _e(e, t, n) {
	var r = B(I++, 2);
	if (r.t = e, !r.__c && (r.__ = [n ? n(t) : Oe(void 0, t), function(e) {
		var t = (r.__N || r.__)[0], n = r.t(t, e);
		ce(t, n) || (r.__N = [n, r.__[1]], r.__c.setState({}));
	}], r.__c = L, !L.__f)) {
		L.__f = !0;
		var i = L.shouldComponentUpdate;
		L.shouldComponentUpdate = function(e, t, n) {
			var r = this.__H;
			if (!r) return !0;
			var a = !1, o = this.props != e;
			if (r.__.some(function(e) {
				e.__N && (a = !0, ce(e.__[0], e.__N[0]) || (o = !0));
			}), i) {
				var s = i.call(this, e, t, n);
				return a ? s || o : s;
			}
			return !a || o;
		};
	}
	return r.__;
}
function ve(e, t) {
	var n = B(I++, 3);
	!z.__s && De(n.__H, t) && (n.__P = !0, n.__ = e, n.u = t, L.__H.__h.push(n));
}
function ye(e) {
	return R = 5, be(function() {
		return { current: e };
	}, []);
}
function be(e, t) {
	var n = B(I++, 7);
	return De(n.__H, t) && (n.__ = e(), n.__H = t), n.__;
}
function xe() {
	var e = B(I++, 11);
	if (!e.__) {
		for (var t = L.__v; !t.__m && t.__;) t = t.__;
		var n = t.__m || (t.__m = [0, 0]);
		e.__ = "P" + n[0] + "-" + n[1]++;
	}
	return e.__;
}
function Se() {
	var e;
	do {
		for (; e = ue.shift();) try {
			H(e);
		} catch (t) {
			z.__e(t, { __: (e = e.__P) && e.__v });
		}
		for (; e = le.shift();) {
			var t = e.__H;
			if (e.__P && t) try {
				t.__h.some(H), t.__h.some(Ee), t.__h = [];
			} catch (n) {
				t.__h = [], z.__e(n, e.__v);
			}
		}
	} while (ue.length);
}
z.__b = function(e) {
	L = null, de && de(e);
}, z.__ = function(e, t) {
	e && t.__k && t.__k.__m && (e.__m = t.__k.__m), ge && ge(e, t);
}, z.__r = function(e) {
	fe && fe(e), I = 0;
	var t = (L = e.__c).__H;
	t && (oe == L ? L.__h = [] : (t.__h.some(H), t.__h.some(Ee), I = 0), t.__h = [], t.__.some(function(e) {
		e.__N && (e.__ = e.__N), e.u = e.__N = void 0;
	})), oe = L;
}, z.diffed = function(e) {
	pe && pe(e);
	var t = e.__c;
	t && t.__H && (t.__H.__h.length && Te(le.push(t)), t.__H.__.some(function(e) {
		e.u && (e.__H = e.u);
	})), oe = L = null;
}, z.__c = function(e, t) {
	t.some(function(e) {
		try {
			e.__h.some(H), e.__h = e.__h.filter(function(e) {
				return !e.__ || Ee(e);
			});
		} catch (t) {
			e.__h = [function() {
				throw t;
			}];
		}
	}), me && me(e, t);
}, z.unmount = function(e) {
	he && he(e);
	var t, n, r = e.__c;
	r && r.__H && (r.__H.__.some(function(r) {
		try {
			if (r.__P && r.__c) {
				if (n === void 0) {
					for (n = e.__; n && (!n.__c || !n.__c.__P);) n = n.__;
					n &&= n.__c;
				}
				r.__P = n, Te(ue.push(r));
			} else H(r);
		} catch (e) {
			t = e;
		}
	}), r.__H = void 0, t && z.__e(t, r.__v));
};
var Ce = typeof requestAnimationFrame == "function";
function we(e) {
	var t, n = function() {
		clearTimeout(r), Ce && cancelAnimationFrame(t), setTimeout(e);
	}, r = setTimeout(n, 35);
	Ce && (t = requestAnimationFrame(n));
}
function Te(e) {
	e != 1 && se == z.requestAnimationFrame || ((se = z.requestAnimationFrame) || we)(Se);
}
function H(e) {
	var t = L, n = e.__c;
	typeof n == "function" && (e.__c = void 0, n()), L = t;
}
function Ee(e) {
	var t = L;
	e.__c = e.__(), L = t;
}
function De(e, t) {
	return !e || e.length != t.length || t.some(function(t, n) {
		return !ce(t, e[n]);
	});
}
function Oe(e, t) {
	return typeof t == "function" ? t(e) : t;
}
// src/model/number.ts
var ke = {
	"-": "⁻",
	0: "⁰",
	1: "¹",
	2: "²",
	3: "³",
	4: "⁴",
	5: "⁵",
	6: "⁶",
	7: "⁷",
	8: "⁸",
	9: "⁹"
};
function U(e, t = 4) {
	if (Number.isNaN(e)) return "NaN";
	if (!Number.isFinite(e)) return e > 0 ? "∞" : "−∞";
	if (e === 0) return "0";
	let n = Math.abs(e);
	return n >= 1e5 || n < .001 ? Ae(e, t) : je(String(Number(e.toPrecision(t))));
}
function Ae(e, t) {
	let [n = "", r = "0"] = e.toExponential(t - 2).split("e");
	return `${je(String(Number(n)))}·10${Me(String(Number(r)))}`;
}
function je(e) {
	return e.replace("-", "−");
}
function Me(e) {
	return Array.from(e, (e) => ke[e] ?? e).join("");
}
function Ne(e) {
	return e.replace(/\d/g, (e) => String.fromCharCode(8320 + Number(e)));
}
function W(e) {
	return e > 0 ? "positive" : e < 0 ? "negative" : "zero";
}
// src/model/entry.ts
var Pe = {
	W: "W",
	b: "b",
	x: "x",
	y: "y",
	z: "z",
	h: "h",
	dW: "dW",
	db: "db",
	dz: "dz",
	dh: "dh",
	dx: "dx",
	delta: "δ",
	loss: "l"
}, G = /* @__PURE__ */ new Set([
	"b",
	"db",
	"loss"
]);
function Fe({ quantity: e, layer: t }) {
	return Pe[e] + (t > 0 ? Me(String(t)) : "");
}
function Ie(e, t) {
	let n = (e.quantity === "delta" || e.quantity === "y") && t?.columns === 1, r = e.row + 1;
	if (G.has(e.quantity) || n) return Fe(e) + Ne(String(r));
	let i = e.column + 1, a = r > 9 || i > 9;
	return Fe(e) + Ne(String(r)) + (a ? "," : "") + Ne(String(i));
}
function K({ quantity: e, layer: t }) {
	return `${e}${t || ""}`;
}
function q(e) {
	return `${K(e)}.${e.row + 1}.${e.column + 1}`;
}
function Le(e) {
	let t = /^(dW|db|dz|dh|dx|delta|W|b|x|y|z|h)(\d{0,2})\.(\d{1,6})\.(\d{1,6})$/.exec(e ?? "");
	if (!t) return;
	let [, n, r, i, a] = t;
	return {
		quantity: n,
		layer: Number(r),
		row: Number(i) - 1,
		column: Number(a) - 1
	};
}
function Re(e, t) {
	return e !== void 0 && t !== void 0 && q(e) === q(t);
}
function J({ network: e, batch: t, pass: n }, { quantity: r, layer: i }) {
	switch (r) {
		case "W": return e.parameters[i - 1]?.W;
		case "b": return e.parameters[i - 1]?.b;
		case "x": return t.x;
		case "y": return "targets" in t.answers ? t.answers.targets : n?.get("y", 0);
		default: return n?.get(r, i);
	}
}
function ze(e, t) {
	let n = J(e, t);
	if (!n) return;
	let r = G.has(t.quantity) ? t.row : t.row * n.columns + t.column;
	return t.column < n.columns || G.has(t.quantity) ? n.data[r] : void 0;
}
function Be(e, t, n) {
	return G.has(e.quantity) ? {
		...e,
		row: n,
		column: 0
	} : {
		...e,
		row: t,
		column: n
	};
}
// src/model/matrix.ts
function Ve(e, t, n) {
	return e.data[t * e.columns + n] ?? NaN;
}
function Y(e) {
	return Object.is(e, -0) ? "-0" : String(e);
}
// node_modules/preact/jsx-runtime/dist/jsxRuntime.mjs
var He = Symbol.for("pv"), Ue = 0;
Array.isArray;
function X(t, n, r, i, a, o) {
	n ||= {};
	var s, c, l = n;
	if ("ref" in l && typeof t != "function") for (c in l = {}, n) c == "ref" ? s = n[c] : l[c] = n[c];
	var u = {
		type: t,
		props: l,
		key: r,
		ref: s,
		__k: null,
		__: null,
		__b: 0,
		__e: null,
		__c: null,
		constructor: He,
		__v: --Ue,
		__i: -1,
		__u: 0
	};
	return (a || o) && (u.__source = a, u.__self = o), e.vnode && e.vnode(u), u;
}
// src/components/diagram/Edge.tsx
function We({ edge: e, entry: t, largest: n, drawing: r }) {
	let i = r.valueOf(t), a = i === void 0 ? "unknown" : W(i), o = i === void 0 || n === 0 ? 0 : Math.abs(i) / n, { x1: s, y1: c, x2: l, y2: u, label: d } = e;
	return /* @__PURE__ */ X("g", {
		class: `edge ${a} ${r.classOf(t)}`,
		"data-entry": q(t),
		"data-value": i === void 0 ? void 0 : Y(i),
		...r.handlers(t),
		children: [
			/* @__PURE__ */ X("line", {
				class: "reach",
				x1: s,
				y1: c,
				x2: l,
				y2: u
			}),
			/* @__PURE__ */ X("line", {
				class: "stroke",
				x1: s,
				y1: c,
				x2: l,
				y2: u,
				style: { strokeWidth: 1.1 + 4.4 * o }
			}),
			d && i !== void 0 && /* @__PURE__ */ X("text", {
				class: "edge-value",
				x: d.x,
				y: d.y,
				dy: "0.35em",
				children: U(i, 3)
			})
		]
	});
}
// src/model/network.ts
function Ge(e) {
	return [e.inputs, ...e.layers.map((e) => e.units)];
}
function Ke(e) {
	return Ge(e).join("-");
}
var qe = {
	linear: "linear",
	relu: "ReLU",
	leaky_relu: "leaky ReLU",
	sigmoid: "sigmoid",
	tanh: "tanh",
	gelu: "GELU",
	silu: "SiLU"
};
// src/components/diagram/LayerTitleText.tsx
function Je({ title: e, spec: t, direction: n, isUpright: r }) {
	let i = t.layers[e.layer - 1], a = n === "backward" ? "d" : "", o = Me(String(e.layer)), s = i ? `Layer ${e.layer} · ${qe[i.activation]}` : "Inputs", c = i ? `${a}z${o} | ${a}h${o}` : `${a}x`;
	return /* @__PURE__ */ X("text", {
		class: `layer-title ${r ? "upright" : ""}`,
		x: e.x,
		y: e.y,
		children: [s, r ? /* @__PURE__ */ X("tspan", {
			class: "shows",
			dx: "10",
			children: c
		}) : /* @__PURE__ */ X("tspan", {
			class: "shows",
			x: e.x,
			dy: "20",
			children: c
		})]
	});
}
var Ye = 12, Xe = 12, Ze = 300, Qe = 12;
function $e(e) {
	let t = Ge(e), n = e.layers.reduce((e, n, r) => e + n.units * (t[r] ?? 0), 0);
	return Math.max(...t) <= Ye && e.layers.length <= Xe && n <= Ze;
}
function et(e, t) {
	return t ? nt(Ge(e)) : tt(Ge(e));
}
var Z = {
	title: 50,
	row: 94,
	column: 244,
	margin: 6,
	target: 86,
	node: 136
};
function tt(e) {
	let t = Math.max(...e), n = e.length > 6 ? Z.node + 64 : Z.column, r = Z.title + t * Z.row, i = (r, i) => ({
		x: Z.margin + r * n,
		y: Z.title + ((t - (e[r] ?? 0)) / 2 + i) * Z.row + (Z.row - 46) / 2
	});
	return {
		width: Z.margin + (e.length - 1) * n + Z.node + Z.target,
		height: r,
		isUpright: !1,
		nodeWidth: Z.node,
		nodes: rt(e, i),
		edges: it(e, (t, r, a) => {
			let [o, s] = [i(t - 1, r), i(t, a)], c = {
				x1: o.x + Z.node,
				y1: o.y + 23,
				x2: s.x,
				y2: s.y + 23
			}, l = Math.min(1 / ((e[t] ?? 1) + 1), .36), u = n === Z.column && (e[t] ?? 0) * (e[t - 1] ?? 0) <= Qe, d = {
				x: c.x1 + 7,
				y: c.y1 + (c.y2 - c.y1) * l
			};
			return {
				...c,
				...u && { label: d }
			};
		}),
		titles: e.map((e, t) => ({
			layer: t,
			x: i(t, 0).x + Z.node / 2,
			y: 16
		}))
	};
}
var Q = {
	row: 130,
	column: 124,
	title: 30,
	margin: 3,
	node: 118
};
function nt(e) {
	let t = Math.max(...e), n = Q.margin * 2 + t * Q.column - (Q.column - Q.node), r = (n, r) => ({
		x: Q.margin + ((t - (e[n] ?? 0)) / 2 + r) * Q.column,
		y: Q.title + n * Q.row
	});
	return {
		width: Math.max(n, 2 * Q.column),
		height: Q.title + (e.length - 1) * Q.row + 46 + 44,
		isUpright: !0,
		nodeWidth: Q.node,
		nodes: rt(e, r),
		edges: it(e, (e, t, n) => {
			let [i, a] = [r(e - 1, t), r(e, n)];
			return {
				x1: i.x + Q.node / 2,
				y1: i.y + 46,
				x2: a.x + Q.node / 2,
				y2: a.y
			};
		}),
		titles: e.map((e, t) => ({
			layer: t,
			x: Q.margin,
			y: Q.title + t * Q.row - 14
		}))
	};
}
function rt(e, t) {
	return e.flatMap((e, n) => Array.from({ length: e }, (e, r) => ({
		layer: n,
		unit: r,
		...t(n, r)
	})));
}
function it(e, t) {
	return e.slice(1).flatMap((n, r) => Array.from({ length: n }, (n, i) => Array.from({ length: e[r] ?? 0 }, (e, n) => ({
		layer: r + 1,
		from: n,
		to: i,
		...t(r + 1, n, i)
	}))).flat());
}
// src/model/frames.ts
function at(e) {
	return e.activation === "relu";
}
// src/components/diagram/NetworkNode.tsx
function ot({ node: e, nodeWidth: t, numbers: n, sample: r, direction: i, isUpright: a, drawing: o }) {
	let { spec: s } = n.network, { layer: c, unit: l, x: u, y: d } = e, f = i === "backward", p = c === 0, m = (e, t) => ({
		quantity: e,
		layer: t,
		row: r,
		column: l
	}), h = p ? [m(f ? "dx" : "x", 0)] : f ? [m("dz", c), m("dh", c)] : [m("z", c), m("h", c)], g = p ? void 0 : o.valueOf(m("z", c)), _ = g !== void 0 && ct(n, c, g), v = t / h.length;
	return /* @__PURE__ */ X("g", {
		class: `node ${_ ? "off" : ""}`,
		transform: `translate(${u} ${d})`,
		children: [
			/* @__PURE__ */ X("rect", {
				class: "body",
				width: t,
				height: 46,
				rx: "10"
			}),
			_ && /* @__PURE__ */ X("rect", {
				class: "hatched",
				width: t,
				height: 46,
				rx: "10"
			}),
			h.map((e, t) => /* @__PURE__ */ X(ut, {
				entry: e,
				x: t * v,
				width: v,
				drawing: o
			}, e.quantity)),
			h.length > 1 && /* @__PURE__ */ X("line", {
				class: "divider",
				x1: v,
				x2: v,
				y1: "7",
				y2: 39
			}),
			/* @__PURE__ */ X(dt, {
				node: e,
				nodeWidth: t,
				numbers: n,
				isBackward: f,
				drawing: o
			}),
			_ && /* @__PURE__ */ X("text", {
				class: "why",
				x: t / 2,
				y: 63,
				children: f ? st(o.valueOf(m("dz", c))) : `z = ${U(g, 3)} < 0 → 0`
			}),
			c === s.layers.length && /* @__PURE__ */ X(ft, {
				entry: m("y", 0),
				nodeWidth: t,
				numbers: n,
				isUpright: a,
				drawing: o
			})
		]
	});
}
function st(e) {
	return e === void 0 ? "off" : `off: dz = ${U(e, 3)}`;
}
function ct({ network: e }, t, n) {
	let r = e.spec.layers[t - 1];
	return !r || !at(r) ? !1 : e.spec.reluAtZero === 1 ? n < 0 : n <= 0;
}
var lt = {
	size: 16.5,
	width: .64
};
function ut({ entry: e, x: t, width: n, drawing: r }) {
	let i = r.valueOf(e), a = i === void 0 ? "not yet" : U(i, 3), o = Math.min(lt.size, (n - 6) / (a.length * lt.width));
	return /* @__PURE__ */ X("g", {
		class: `half ${i === void 0 ? "unknown" : W(i)} ${r.classOf(e)}`,
		"data-entry": q(e),
		"data-value": i === void 0 ? void 0 : Y(i),
		...r.handlers(e),
		children: [/* @__PURE__ */ X("rect", {
			class: "reach",
			x: t + 2,
			y: "2",
			width: n - 4,
			height: 42,
			rx: "8"
		}), /* @__PURE__ */ X("text", {
			class: "value",
			x: t + n / 2,
			y: 23,
			dy: "0.35em",
			style: { fontSize: `${o}px` },
			children: a
		})]
	});
}
function dt({ node: e, nodeWidth: t, numbers: n, isBackward: r, drawing: i }) {
	if (!n.network.spec.layers[e.layer - 1]?.hasBias) return null;
	let a = r ? "db" : "b", o = {
		quantity: a,
		layer: e.layer,
		row: e.unit,
		column: 0
	}, s = i.valueOf(o);
	return /* @__PURE__ */ X("text", {
		class: `bias ${s === void 0 ? "unknown" : W(s)} ${i.classOf(o)}`,
		x: t / 2,
		y: "-6",
		...i.handlers(o),
		children: [
			a,
			" = ",
			s === void 0 ? "not yet" : U(s, 3)
		]
	});
}
function ft({ entry: e, nodeWidth: t, numbers: n, isUpright: r, drawing: i }) {
	let a = ze(n, e);
	return a === void 0 ? null : /* @__PURE__ */ X("text", {
		...r ? {
			x: t / 2,
			y: 80,
			class: "target under"
		} : {
			x: t + 12,
			y: 28,
			class: "target"
		},
		...i.handlers(e),
		children: ["y = ", U(a, 3)]
	});
}
// src/components/diagram/Diagram.tsx
function pt(e) {
	let { numbers: t, sample: n, direction: r, isUpright: i, isKnown: a, isCurrent: o, lit: s, picked: c, onPick: l, onPoint: u } = e, { spec: d } = t.network, f = be(() => et(d, i), [d, i]), p = {
		valueOf: (e) => a(e) ? ze(t, e) : void 0,
		classOf: (e) => [
			s.has(q(e)) && "lit",
			Re(e, c) && "picked",
			o(e) && "current"
		].filter(Boolean).join(" "),
		handlers: (e) => ({
			onClick: () => l(e),
			onPointerEnter: () => u(e),
			onPointerLeave: () => u(void 0)
		})
	}, m = r === "forward" ? "W" : "dW", h = mt(t, m), g = `The network ${d.inputs}-${d.layers.map((e) => e.units).join("-")}, ${r}, sample ${n + 1}. Its numbers are in the tables below.`;
	return /* @__PURE__ */ X("div", {
		class: "diagram-scroll",
		tabIndex: 0,
		children: /* @__PURE__ */ X("svg", {
			class: `diagram ${r}`,
			role: "img",
			"aria-label": g,
			viewBox: `0 0 ${f.width} ${f.height}`,
			style: {
				minWidth: `${f.width * .6}px`,
				maxWidth: `${f.width * 2.4}px`,
				maxHeight: `max(66vh, ${f.height * .85}px)`
			},
			children: [
				/* @__PURE__ */ X("defs", { children: /* @__PURE__ */ X("pattern", {
					id: "hatch",
					width: "7",
					height: "7",
					patternUnits: "userSpaceOnUse",
					patternTransform: "rotate(45)",
					children: /* @__PURE__ */ X("line", {
						class: "hatch",
						x1: "0",
						y1: "0",
						x2: "0",
						y2: "7"
					})
				}) }),
				f.edges.map((e) => /* @__PURE__ */ X(We, {
					edge: e,
					entry: {
						quantity: m,
						layer: e.layer,
						row: e.to,
						column: e.from
					},
					largest: h,
					drawing: p
				}, `${e.layer}.${e.to}.${e.from}`)),
				f.titles.map((e) => /* @__PURE__ */ X(Je, {
					title: e,
					spec: d,
					direction: r,
					isUpright: i
				}, e.layer)),
				f.nodes.map((e) => /* @__PURE__ */ X(ot, {
					node: e,
					nodeWidth: f.nodeWidth,
					numbers: t,
					sample: n,
					direction: r,
					isUpright: i,
					drawing: p
				}, `${e.layer}.${e.unit}`))
			]
		})
	});
}
function mt({ network: e, pass: t }, n) {
	let r = 0;
	return e.parameters.forEach(({ W: e }, i) => {
		let a = n === "W" ? e : t?.get("dW", i + 1);
		for (let e = 0; a && e < a.data.length; e++) r = Math.max(r, Math.abs(a.data[e] ?? 0));
	}), r;
}
// src/components/MatrixTable.tsx
var ht = {
	ArrowUp: [-1, 0],
	ArrowDown: [1, 0],
	ArrowLeft: [0, -1],
	ArrowRight: [0, 1]
};
function gt(e) {
	let { matrix: t, caption: n, name: r, onPick: i, limit: a = 32 } = e, o = xe(), s = ye(null), [c, l] = V({
		row: 0,
		column: 0
	}), u = Math.min(t.rows, a), d = Math.min(t.columns, a), f = {
		row: vt(c.row, u),
		column: vt(c.column, d)
	}, p = u < t.rows || d < t.columns, m = (e, t) => {
		if (e.key === "Enter" || e.key === " ") {
			e.preventDefault(), i?.(t);
			return;
		}
		let n = ht[e.key];
		if (!n) return;
		e.preventDefault(), e.stopPropagation();
		let r = vt(t.row + n[0], u), a = vt(t.column + n[1], d);
		l({
			row: r,
			column: a
		}), s.current?.querySelector(`[data-row="${r}"][data-column="${a}"]`)?.focus();
	};
	return /* @__PURE__ */ X("div", {
		class: "matrix-scroll",
		tabIndex: i ? void 0 : 0,
		children: [
			/* @__PURE__ */ X("p", {
				class: "matrix-caption",
				id: o,
				children: n
			}),
			/* @__PURE__ */ X("table", {
				ref: s,
				class: "matrix",
				"data-matrix": r,
				role: i ? "grid" : void 0,
				"aria-labelledby": o,
				children: /* @__PURE__ */ X("tbody", { children: Array.from({ length: u }, (t, n) => /* @__PURE__ */ X("tr", { children: Array.from({ length: d }, (t, r) => /* @__PURE__ */ X(_t, {
					...e,
					cell: {
						row: n,
						column: r
					},
					isStop: f.row === n && f.column === r,
					onWalk: m
				}, r)) }, n)) })
			}),
			p && /* @__PURE__ */ X("p", {
				class: "quiet",
				children: [
					"The first ",
					u,
					" × ",
					d,
					" of ",
					t.rows,
					" × ",
					t.columns,
					" entries."
				]
			})
		]
	});
}
function _t({ matrix: e, nameOf: t, classOf: n, noteOf: r, onPick: i, onPoint: a, digits: o = 4, cell: s, isStop: c, onWalk: l }) {
	let u = Ve(e, s.row, s.column), d = t(s), f = r?.(s) ?? "", p = U(u, o), m = i && {
		role: "gridcell",
		tabIndex: c ? 0 : -1,
		onClick: () => i(s),
		onKeyDown: (e) => l(e, s),
		"aria-label": `${d} = ${p}${f && `, ${f}`}`
	};
	return /* @__PURE__ */ X("td", {
		class: `${W(u)} ${n?.(s) ?? ""}`,
		"data-entry": d,
		"data-value": Y(u),
		"data-row": s.row,
		"data-column": s.column,
		title: `${d} = ${Y(u)}${f && `\n${f}`}`,
		onPointerEnter: () => a?.(s),
		onPointerLeave: () => a?.(void 0),
		onFocus: () => a?.(s),
		onBlur: () => a?.(void 0),
		...m,
		children: p
	});
}
function vt(e, t) {
	return Math.min(Math.max(e, 0), t - 1);
}
// src/components/NumberText.tsx
function $({ value: e, digits: t = 4 }) {
	let n = Y(e);
	return /* @__PURE__ */ X("data", {
		class: `number ${W(e)}`,
		value: n,
		"data-value": n,
		title: n,
		children: U(e, t)
	});
}
// src/components/PictureSwitches.tsx
var yt = 200;
function bt({ direction: e, setDirection: t, sample: n, setSample: r, samples: i }) {
	return /* @__PURE__ */ X(y, { children: [/* @__PURE__ */ X("fieldset", {
		class: "segments",
		children: [/* @__PURE__ */ X("legend", {
			class: "visually-hidden",
			children: "Direction"
		}), ["forward", "backward"].map((n) => /* @__PURE__ */ X("button", {
			type: "button",
			"aria-pressed": n === e,
			onClick: () => t(n),
			children: n === "forward" ? "Forward →" : "← Backward"
		}, n))]
	}), /* @__PURE__ */ X("label", { children: [
		"Sample",
		" ",
		/* @__PURE__ */ X("select", {
			value: String(n),
			onChange: (e) => r(Number(e.currentTarget.value)),
			children: Array.from({ length: Math.min(i, yt) }, (e, t) => /* @__PURE__ */ X("option", {
				value: String(t),
				children: [
					t + 1,
					" of ",
					i
				]
			}, t))
		})
	] })] });
}
// src/components/Terms.tsx
var xt = 4;
function St({ equation: e, ...t }) {
	let { terms: n, foldedTerms: r, foldedValue: i } = e, a = n.length + r;
	return /* @__PURE__ */ X("details", {
		class: "terms",
		open: a <= xt,
		children: [/* @__PURE__ */ X("summary", { children: a === 1 ? "One term" : `A sum of ${a} terms` }), /* @__PURE__ */ X("table", { children: [/* @__PURE__ */ X("tbody", { children: [n.map((e) => /* @__PURE__ */ X(Ct, {
			term: e,
			...t
		}, e.factors.map((e) => e.text).join("·"))), r > 0 && /* @__PURE__ */ X("tr", { children: [/* @__PURE__ */ X("td", {
			class: "quiet",
			children: [r, " more terms"]
		}), /* @__PURE__ */ X("td", { children: /* @__PURE__ */ X($, { value: i }) })] })] }), /* @__PURE__ */ X("tfoot", { children: /* @__PURE__ */ X("tr", { children: [/* @__PURE__ */ X("th", {
			scope: "row",
			children: "="
		}), /* @__PURE__ */ X("td", { children: /* @__PURE__ */ X($, {
			value: e.value,
			digits: 6
		}) })] }) })] })]
	});
}
function Ct({ term: e, ...t }) {
	return /* @__PURE__ */ X("tr", { children: [/* @__PURE__ */ X("td", { children: /* @__PURE__ */ X("span", {
		class: "factors",
		children: e.factors.map((e) => /* @__PURE__ */ X(wt, {
			factor: e,
			...t
		}, e.text))
	}) }), /* @__PURE__ */ X("td", { children: /* @__PURE__ */ X($, { value: e.value }) })] });
}
function wt({ factor: e, onLight: t, onPick: n }) {
	let { entry: r } = e, i = /* @__PURE__ */ X(y, { children: [/* @__PURE__ */ X("span", {
		class: "symbol",
		children: e.text
	}), /* @__PURE__ */ X($, { value: e.value })] });
	if (!r) return /* @__PURE__ */ X("span", {
		class: "factor",
		children: i
	});
	let a = () => t(r), o = () => t(void 0);
	return /* @__PURE__ */ X("button", {
		type: "button",
		class: "factor",
		"data-entry": q(r),
		onClick: () => {
			o(), n(r);
		},
		onPointerEnter: a,
		onPointerLeave: o,
		onFocus: a,
		onBlur: o,
		children: i
	});
}
// src/widget/kernel.ts
function Tt(e) {
	let t = e.get("numbers"), { inputs: n, layers: r, loss: i, reduction: a, reluAtZero: o, parameters: s, x: c, y: l, matrices: u } = t, d = {
		inputs: n,
		layers: r,
		loss: i,
		reduction: a,
		reluAtZero: o,
		compute: "float64",
		learningRate: 0
	};
	return {
		step: t.step,
		numbers: {
			network: {
				spec: d,
				parameters: s
			},
			batch: {
				x: c,
				answers: { targets: l }
			},
			pass: {
				loss: t.value,
				samples: c.rows,
				get: (e, t) => u[K({
					quantity: e,
					layer: t
				})]
			}
		}
	};
}
var Et = 0;
function Dt(e, t, n) {
	Et += 1;
	let r = Et;
	return new Promise((i, a) => {
		let o = (t) => {
			t.id === r && (e.off("msg:custom", o), "error" in t ? a(Error(t.error)) : i(Ot(t)));
		};
		e.on("msg:custom", o), e.send({
			id: r,
			entry: K(t),
			row: t.row + 1,
			column: t.column + 1,
			expansion: n
		});
	});
}
function Ot({ equations: e, unexplained: t }) {
	return {
		unexplained: t,
		equations: e.map((e) => ({
			...e,
			terms: e.terms.map((e) => ({
				...e,
				factors: e.factors.map(({ entry: e, ...t }) => {
					let n = Le(e);
					return {
						...t,
						...n && { entry: n }
					};
				})
			}))
		}))
	};
}
// src/widget/NotebookPicture.tsx
function kt({ model: e }) {
	let [{ numbers: t, step: n }, r] = V(() => Tt(e)), [i, a] = V("forward"), [o, s] = V(0), [c, l] = V(void 0), [u, d] = V(void 0), [f, p] = V(void 0);
	ve(() => {
		let t = () => r(Tt(e));
		return e.on("change:numbers", t), () => e.off("change:numbers", t);
	}, [e]);
	let { spec: m } = t.network, h = u && ze(t, u);
	return /* @__PURE__ */ X("div", {
		class: "notebook-picture",
		children: [
			/* @__PURE__ */ X("div", {
				class: "picture-bar",
				children: [/* @__PURE__ */ X(bt, {
					direction: i,
					setDirection: a,
					sample: o,
					setSample: s,
					samples: t.batch.x.rows
				}), /* @__PURE__ */ X("span", {
					class: "loss",
					children: [
						"step ",
						n,
						", l = ",
						/* @__PURE__ */ X($, {
							value: t.pass?.loss ?? NaN,
							digits: 5
						})
					]
				})]
			}),
			$e(m) ? /* @__PURE__ */ X(pt, {
				numbers: t,
				sample: o,
				direction: i,
				isUpright: !1,
				isKnown: () => !0,
				isCurrent: () => !1,
				lit: new Set(f ? [q(f)] : []),
				picked: c,
				onPick: l,
				onPoint: d
			}) : /* @__PURE__ */ X("p", { children: [Ke(m), " is too large for a picture; its numbers are in the tables."] }),
			/* @__PURE__ */ X("p", {
				class: "readout quiet",
				"aria-hidden": "true",
				children: u && h !== void 0 ? `${Ie(u, J(t, u))} = ${Y(h).replace("-", "−")}` : "Choose a number to see how it is formed."
			}),
			c && /* @__PURE__ */ X(jt, {
				model: e,
				entry: c,
				numbers: t,
				onLight: p,
				onPick: l
			}),
			/* @__PURE__ */ X("details", { children: [/* @__PURE__ */ X("summary", { children: "The numbers in tables" }), /* @__PURE__ */ X("div", {
				class: "layer-tables",
				children: Mt(t, i).map((e) => /* @__PURE__ */ X(Nt, {
					place: e,
					numbers: t,
					onPick: l,
					onPoint: d
				}, K(e)))
			})] })
		]
	});
}
var At = [
	["definition", "Definition"],
	["chain", "Chain rule"],
	["leaves", "Leaves"]
];
function jt({ model: e, entry: t, numbers: n, onLight: r, onPick: i }) {
	let [a, o] = V("definition"), [s, c] = V(void 0), l = [
		"W",
		"b",
		"x",
		"y",
		"loss"
	].includes(t.quantity);
	ve(() => {
		let n = !0;
		if (c(void 0), !l) return Dt(e, t, a).then((e) => n && c(e), (e) => n && c(e.message)), () => {
			n = !1;
		};
	}, [
		e,
		q(t),
		a,
		n
	]);
	let u = ze(n, t), d = Ie(t, J(n, t));
	return l ? /* @__PURE__ */ X("p", {
		"aria-live": "polite",
		children: [
			d,
			" = ",
			u === void 0 ? "" : Y(u)
		]
	}) : /* @__PURE__ */ X("section", {
		"aria-label": `Why ${d} has its value`,
		"aria-live": "polite",
		children: [
			/* @__PURE__ */ X("fieldset", {
				class: "segments",
				children: [/* @__PURE__ */ X("legend", {
					class: "visually-hidden",
					children: "How far to go"
				}), At.map(([e, t]) => /* @__PURE__ */ X("button", {
					type: "button",
					"aria-pressed": e === a,
					onClick: () => o(e),
					children: t
				}, e))]
			}),
			typeof s == "string" && /* @__PURE__ */ X("p", {
				role: "alert",
				children: s
			}),
			typeof s == "object" && s.equations.map((e, t) => /* @__PURE__ */ X("div", { children: [/* @__PURE__ */ X("p", {
				class: "equation",
				children: [
					e.text,
					/* @__PURE__ */ X("br", {}),
					"= ",
					e.numbers
				]
			}), t === 0 && /* @__PURE__ */ X(St, {
				equation: e,
				onLight: r,
				onPick: i
			})] }, e.text))
		]
	});
}
function Mt({ network: e }, t) {
	let { layers: n } = e.spec;
	return t === "forward" ? [
		{
			quantity: "x",
			layer: 0
		},
		...n.flatMap((e, t) => [
			{
				quantity: "W",
				layer: t + 1
			},
			...e.hasBias ? [{
				quantity: "b",
				layer: t + 1
			}] : [],
			{
				quantity: "z",
				layer: t + 1
			},
			{
				quantity: "h",
				layer: t + 1
			}
		]),
		{
			quantity: "y",
			layer: 0
		}
	] : [
		{
			quantity: "dx",
			layer: 0
		},
		...n.flatMap((e, t) => [
			{
				quantity: "dz",
				layer: t + 1
			},
			{
				quantity: "dh",
				layer: t + 1
			},
			{
				quantity: "dW",
				layer: t + 1
			},
			...e.hasBias ? [{
				quantity: "db",
				layer: t + 1
			}] : []
		]),
		{
			quantity: "delta",
			layer: 0
		}
	];
}
function Nt({ place: e, numbers: t, onPick: n, onPoint: r }) {
	let i = J(t, e);
	return i ? /* @__PURE__ */ X(gt, {
		matrix: i,
		name: K(e),
		caption: Fe(e),
		nameOf: ({ row: t, column: n }) => Ie(Be(e, t, n), i),
		onPick: ({ row: t, column: r }) => n(Be(e, t, r)),
		onPoint: (t) => r(t && Be(e, t.row, t.column))
	}) : null;
}
// src/widget/widget.tsx
function Pt({ model: e, el: t }) {
	return t.classList.add("backpropd"), F(/* @__PURE__ */ X(kt, { model: e }), t), () => F(null, t);
}
var Ft = { render: Pt };
export { Ft as default };
