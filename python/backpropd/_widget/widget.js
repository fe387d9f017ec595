// node_modules/preact/dist/preact.mjs
var e, t, n, r, i, a, o, s, c, l, u, d = Symbol.for("pv"), f = {}, p = [], m = /^m(i|n|o|s|text|space)$/, h = Array.isArray, g = p.slice, _ = Object.assign;
function v(e) {
	e && e.parentNode && e.remove();
}
function y(e, t, n) {
	var r, i, a, o = {}, s = arguments.length;
	for (a in t) a == "key" ? r = t[a] : a == "ref" && typeof e != "function" ? i = t[a] : o[a] = t[a];
	return s > 2 && (o.children = s > 3 ? g.call(arguments, 2) : n), b(e, o, r, i, null);
}
function b(n, r, i, a, o) {
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
		constructor: d,
		__v: o || ++t,
		__i: -1,
		__u: 0
	};
	return !o && e.vnode && e.vnode(s), s;
}
function x(e) {
	return e.children;
}
function S(e, t) {
	this.props = e, this.context = t, this.__g = 0;
}
function C(e, t) {
	if (t == null) return e.__ && C(e.__, e.__i + 1);
	for (var n; t < e.__k.length; t++) if ((n = e.__k[t]) && n.__e) return n.__e;
	return typeof e.type != "function" || e.props.__P ? null : C(e);
}
function w(t) {
	var n, r = t.__v, i = r.__e, a = [], o = [], s = t.__P;
	s && ((n = _({ constructor: d }, r)).__v = r.__v + 1, e.vnode && e.vnode(n), re(s, n, r, t.__n, s.namespaceURI, 32 & r.__u ? [i] : null, a, i || C(r), 32 & r.__u, o), n.__v = r.__v, n.__.__k[n.__i] = n, M(a, n, o), r.__ = r.__e = null, n.__e != i && T(n));
}
function T(e) {
	if ((e = e.__) && e.__c && !e.props.__P) return e.__e = null, e.__k.some(function(t) {
		return t && (e.__e = t.__e);
	}), T(e);
}
function E(t) {
	(8 & t.__g || (t.__g |= 8, r.push(t), a++)) && i == e.debounceRendering || ((i = e.debounceRendering) || queueMicrotask)(D);
}
function D() {
	try {
		for (var e, t = 1; r.length;) r.length > t && r.sort(o), e = r.shift(), t = r.length, 8 & e.__g && w(e);
	} finally {
		(a = r.length) && (i || queueMicrotask)(D);
	}
}
function ee(e, t, n, r, i, a, o, s, c, l, u) {
	var d, m, h, g, _, v, y = r.__k || p, b = t.length;
	for (c = O(n, t, y, c, b), d = 0; d < b; d++) (h = n.__k[d]) != null && (m = ~h.__i && y[h.__i] || f, h.__i = d, v = re(e, h, m, i, a, o, s, c, l, u), g = h.__e, (m.ref != h.ref || 8 & m.__u) && (m.ref && N(m.ref, null, h, m), h.ref && u.push(h.ref, h.__c || g, h)), _ ||= g, 4 & h.__u ? (c = k(h, c, e, !m.__v), m.__e && (m.__e = null)) : typeof h.type == "function" && v !== void 0 ? c = v : g && (c = g.nextSibling), h.__u &= -21);
	return n.__e = _, c;
}
function O(e, t, n, r, i) {
	var a, o, s, c, l, u, f, p, m, g = n.length, _ = g, v = 0, y = 0, S = e.__k = Array(i);
	for (a = 0; a < i; a++) (o = t[a]) != null && typeof o != "boolean" && typeof o != "function" ? (typeof o != "object" || o.constructor === String ? o = S[a] = b(null, o) : h(o) ? o = S[a] = b(x, { children: o }) : o.constructor === d && o.__b ? o = S[a] = b(o.type, o.props, o.key, o.ref, o.__v) : S[a] = o, c = a + v, o.__ = e, o.__b = e.__b + 1, s = null, ~(l = o.__i = te(o, n, c, _)) && (_--, (s = n[l]) && (s.__u |= 2)), s && s.__v ? (o.__u |= 16, l == c - 1 ? v-- : l == c + 1 ? v++ : l != c && (l > c ? v-- : v++, y = 1)) : (~l || (i > g ? v-- : i < g && v++), typeof o.type != "function" && (o.__u |= 4))) : S[a] = null;
	if (y) {
		for (u = [], f = [], a = 0; a < i; a++) if ((o = S[a]) && 16 & o.__u) {
			for (v = 0, p = u.length; v < p;) u[m = v + p >> 1] < o.__i ? v = m + 1 : p = m;
			u[v] = o.__i, f[a] = v + 1;
		}
		for (v = u.length; a--;) f[a] && (f[a] == v ? v-- : S[a].__u |= 4);
	}
	if (_) for (a = 0; a < g; a++) !(s = n[a]) || 2 & s.__u || (s.__e == r && (r = C(s)), se(s, s));
	return r;
}
function k(e, t, n, r) {
	var i, a, o, s;
	if (typeof e.type == "function") {
		if (e.props.__P) return t;
		if (i = e.__k) for (a = 0; a < i.length; a++) i[a] && (i[a].__ = e, t = k(i[a], t, n, !1));
		return t;
	}
	for (t && !t.parentNode && (t = C(e)) && !t.parentNode && (t = null), o = e.__e, s = t; s && s.nodeType == 8;) s = s.nextSibling;
	for (o != s && (!r && n.moveBefore && o.parentNode ? n.moveBefore(o, t) : n.insertBefore(o, t || null)), t = o; (t &&= t.nextSibling) && t.nodeType == 8 && !t.data.startsWith("$s"););
	return t;
}
function te(e, t, n, r) {
	var i, a = e.key, o = e.type, s = t[n], c = s && !(2 & s.__u);
	if (s === null && a == null || c && a == s.key && o == s.type) return n;
	if (r > +!!c) {
		for (i = n - 1; i >= 0; i--) if ((s = t[i]) && !(2 & s.__u) && a == s.key && o == s.type) return i;
		for (i = n + 1; i < t.length; i++) if ((s = t[i]) && !(2 & s.__u) && a == s.key && o == s.type) return i;
	}
	return -1;
}
function ne(e, t, n) {
	n ??= "", t[0] == "-" ? e.setProperty(t, n) : e[t] = n;
}
function A(e, t, n, r, i) {
	var a, o;
	if (t == "style") {
		if (typeof n == "string") e.style.cssText = n;
		else {
			if (typeof r == "string" && (e.style.cssText = r = ""), r) for (t in r) n && t in n || ne(e.style, t);
			if (n) for (t in n) r && n[t] == r[t] || ne(e.style, t, n[t]);
		}
	} else if (t[0] == "o" && t[1] == "n") typeof n != "function" && (n = null), typeof r != "function" && (r = null), (e.__e ||= {})[t] = n, n && r || (o = u[t] || (u[t] = j(t)), (e.__a ||= {})[t] = l, a = t != (t = t.replace(c, "$1")), (t = t.slice(2))[0] < "a" && (t = t.toLowerCase()), n ? e.addEventListener(t, o, a) : e.removeEventListener(t, o, a));
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
function j(t) {
	return function(n) {
		var r = this.__e;
		if (r) {
			if (r = r[t], n[s] == null) n[s] = l++;
			else if (n[s] < this.__a[t]) return;
			return r(e.event ? e.event(n) : n);
		}
	};
}
function re(t, n, r, i, a, o, s, c, l, u) {
	var f, m, g, y, b, w, T, E, D, O, k, te, ne, A, j, re, M, N, P = n.type;
	if (n.constructor !== d) return null;
	128 & r.__u && (l = 32 & r.__u, f = r.__c.__z) && (n.__u |= l, m = o = [], f.nodeType == 8 ? c = ie(f, o) : o.push(f), c = o[0] || c), (f = e.__b) && f(n);
	n: if (typeof P == "function") {
		g = s.length;
		try {
			if (E = n.props, D = (f = P.prototype) && f.render, O = (f = P.contextType) && i[f.__c], k = f ? O ? O.props.value : f.__ : i, (y = r.__c) ? (n.__c = y, 2 & y.__g && (y.__g |= 1)) : (D ? n.__c = y = new P(E, k) : (n.__c = y = new S(E, k), y.constructor = P, y.render = ce), O && O.sub(y), y.state || (y.state = {}), y.__n = i, y.__g |= 8, y.__h = [], y.__k = []), D && (y.__s || (y.__s = y.state), P.getDerivedStateFromProps && (y.__s == y.state && (y.__s = _({}, y.__s)), _(y.__s, P.getDerivedStateFromProps(E, y.__s)))), b = y.props, w = y.state, y.__v = n, r.__c) {
				if (E !== b && D && !P.getDerivedStateFromProps && y.componentWillReceiveProps && y.componentWillReceiveProps(E, k), n.__v == r.__v && !(8 & y.__g) || !(4 & y.__g) && y.shouldComponentUpdate && !1 === y.shouldComponentUpdate(E, y.__s, k)) {
					n.__v != r.__v && (y.props = E, y.state = y.__s, y.__g &= -9), n.__e = r.__e, n.__k = r.__k, n.__k.some(function(e) {
						e && (e.__ = n);
					}), p.push.apply(y.__h, y.__k), y.__k = [], y.__h.length && s.push(y), c = C(r);
					break n;
				}
				y.componentWillUpdate && y.componentWillUpdate(E, y.__s, k), D && y.componentDidUpdate && y.__h.push(function() {
					y.componentDidUpdate(b, w, T);
				});
			} else D && !P.getDerivedStateFromProps && y.componentWillMount && y.componentWillMount(), D && y.componentDidMount && y.__h.push(y.componentDidMount);
			y.context = k, y.props = E, y.__P = t, y.__g &= -5, te = e.__r, ne = D ? 25 : 0;
			do
				y.__g &= -9, te && te(n), f = y.render(y.props, y.state = y.__s, y.context);
			while (8 & y.__g && ++ne < 25);
			D && (p.push.apply(y.__h, y.__k), y.__k = []), y.state = y.__s, y.getChildContext && (i = _({}, i, y.getChildContext())), D && r.__c && y.getSnapshotBeforeUpdate && (T = y.getSnapshotBeforeUpdate(b, w)), A = f && f.type === x && f.key == null ? f.props.children : f, E.__P && (f = c, a = (t = E.__P).namespaceURI, l = o = null, r.props && r.props.__P != t && (r.__k.some(function(e) {
				e && se(e, e);
			}), r.__k = null), c = r.__k ? C(r, 0) : null), c = ee(t, h(A) ? A : [A], n, r, i, a, o, s, c, l, u), E.__P && (n.__e = null, c = f), n.__u &= -161, m && m.some(v), y.__h.length && s.push(y), 1 & y.__g && (y.__g &= -4);
		} catch (t) {
			if (s.length = g, n.__v = null, l || o) {
				if (t && t.then) {
					if (n.__u |= 128 | l, o) {
						for (~(M = o.indexOf(c || void 0)) || (M = o.length); (N = o[M - 1]) && N.nodeType == 8;) M--;
						for (; M < o.length; M++) if (N = o[M]) {
							if (o[M] = null, j) {
								if (N == re) break;
							} else {
								if (N.nodeType != 8) break;
								N.data.startsWith("$s") && (re = ie(j = N));
							}
						}
					}
					if (!j) {
						for (; c && c.nodeType == 8 && c.nextSibling;) c = c.nextSibling;
						j = c;
					}
					(f = ie(j = n.__c.__z || (n.__c.__z = j))) ? (n.__e = j, c = f) : n.__e = c, c &&= c.nextSibling;
				} else o && o.some(v);
			} else n.__e = r.__e;
			n.__k ||= r.__k || [], t && t.then || ae(n), e.__e(t, n, r);
		}
	} else c = n.__e = oe(r.__e, n, r, i, a, o, s, l, u, t);
	return (f = e.diffed) && f(n), c;
}
function ie(e, t) {
	if (e && e.nodeType == 8 && e.data.startsWith("$s")) for (var n = 1; e = e.nextSibling;) {
		if (e.nodeType == 8) {
			if (e.data.startsWith("$s")) n++;
			else if (e.data.startsWith("/$s") && !--n) return e;
		}
		t && t.push(e);
	}
}
function ae(e) {
	e && (e.__c && (e.__c.__g |= 4), e.__k && e.__k.some(ae));
}
function M(t, n, r) {
	for (var i = 0; i < r.length;) N(r[i++], r[i++], r[i++]);
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
function oe(t, n, r, i, a, o, s, c, l, u) {
	var d, p, _, y, b, x, S, w, T = r.props || f, E = n.props, D = n.type;
	if (D == "svg" ? a = "http://www.w3.org/2000/svg" : D == "math" ? a = "http://www.w3.org/1998/Math/MathML" : a ||= "http://www.w3.org/1999/xhtml", o) {
		for (d = 0; d < o.length; d++) if ((b = o[d]) && (D ? b.localName == D : b.nodeType == 3)) {
			t = b, o[d] = null;
			break;
		}
	}
	if (!t) {
		if (w = u.ownerDocument || document, !D) return w.createTextNode(E);
		t = w.createElementNS(a, D, E.is ? E : u), c &&= (e.__m && e.__m(n, o), !1), o = null;
	}
	if (D) {
		if (u = D == "template" && t.content || t, o = D == "textarea" && E.defaultValue != null ? null : o && g.call(u.childNodes), !c && o) for (T = {}, d = 0; d < t.attributes.length; d++) T[(b = t.attributes[d]).name] = b.value;
		for (d in T) b = T[d], d == "dangerouslySetInnerHTML" ? _ = b : d == "children" || d in E || d == "value" && "defaultValue" in E || d == "checked" && "defaultChecked" in E || A(t, d, null, b, a);
		for (d in E) b = E[d], d == "children" ? y = b : d == "dangerouslySetInnerHTML" ? p = b : d == "value" ? x = b : d == "checked" ? S = b : c && typeof b != "function" || T[d] === b || A(t, d, b, T[d], a);
		p ? (c || _ && (p.__html == _.__html || p.__html == t.innerHTML) || (t.innerHTML = p.__html), n.__k = []) : (_ && (t.textContent = ""), (D == "foreignObject" || a == "http://www.w3.org/1998/Math/MathML" && m.test(D)) && (a = "http://www.w3.org/1999/xhtml"), ee(u, h(y) ? y : [y], n, r, i, a, o, s, o ? o[0] : r.__k && C(r, 0), c, l), o && o.some(v)), c && D != "textarea" || (d = "value", D == "progress" && x == null ? t.removeAttribute(d) : x == null || x === t[d] && (D != "progress" || x) || A(t, d, x, T[d], a), d = "checked", S != null && S != t[d] && A(t, d, S, T[d], a));
	} else T === E || c && t.data == E || (t.data = E);
	return t;
}
function N(t, n, r, i) {
	try {
		typeof t == "function" ? n ? n.__x = t(n) || 1 : (i &&= i.__c || i.__e) && (n = i.__x) && (i.__x = null, typeof n == "function" ? n() : t(null)) : t.current = n;
	} catch (t) {
		e.__e(t, r);
	}
}
function se(t, n, r) {
	var i, a, o, s;
	if (e.unmount && e.unmount(t), !(i = t.ref) || i.current && i.current != t.__e || N(i, null, n, t), i = t.__c) {
		if (i.componentWillUnmount) try {
			i.componentWillUnmount();
		} catch (t) {
			e.__e(t, n);
		}
		i.__P = i.__n = null;
	}
	if (i = t.__k) for (s = 0; s < i.length; s++) i[s] && se(i[s], n, typeof t.type != "function" || r && !t.props.__P);
	!r && (i = t.__c) && (i = i.__z) && (a = ie(i, o = [])) && (i == t.__e && o.some(v), v(a), v(i)), r || v(t.__e), t.__e = t.__c = t.__ = null;
}
function ce(e, t, n) {
	return this.constructor(e, n);
}
function P(t, n) {
	var r, i, a, o;
	e.__ && e.__(t, n), n.nodeType == 9 && (n = n.documentElement), i = (r = t && 32 & t.__u) ? null : n.__k, n.__k = b(x, { children: [t] }), a = [], o = [], re(n, n.__k, i || f, f, n.namespaceURI, i ? null : n.firstChild ? g.call(n.childNodes) : null, a, i ? i.__e : n.firstChild, r, o), M(a, n.__k, o), n.__k.props.children = null;
}
e = { __e: function(e, t, n, r) {
	for (var i, o, s; t = t.__;) if ((i = t.__c) && !(1 & i.__g)) {
		i.__g |= 4;
		try {
			if ((s = (o = i.constructor) && o.getDerivedStateFromError) && i.setState(o.getDerivedStateFromError(e)), i.componentDidCatch && (i.componentDidCatch(e, r || {}), s = 1), s && 8 & i.__g) return void (i.__g |= 2);
		} catch (t) {
			e = t;
		}
	}
	throw a = 0, e;
} }, t = 0, n = function(e) {
	return e != null && e.constructor === d;
}, S.prototype.setState = function(e, t) {
	var n = this.__s;
	n && n != this.state || (n = this.__s = _({}, this.state)), typeof e == "function" && (e = e(_({}, n), this.props)), e && (_(n, e), this.__v && (t && this.__k.push(t), E(this)));
}, S.prototype.forceUpdate = function(e) {
	this.__v && (this.__g |= 4, e && this.__h.push(e), E(this));
}, S.prototype.render = x, r = [], a = 0, o = function(e, t) {
	return e.__v.__b - t.__v.__b;
}, s = Symbol(), c = /(PointerCapture)$|Capture$/i, l = 0, u = {};
// node_modules/preact/hooks/dist/hooks.mjs
var F, I, le, ue, de = Object.is, fe = 0, pe = [], me = [], L = e, he = L.__b, ge = L.__r, _e = L.diffed, ve = L.__c, ye = L.unmount, be = L.__;
function xe(e, t) {
	L.__h && L.__h(I, e, fe || t), fe = 0;
	var n = I.__H || (I.__H = {
		__: [],
		__h: []
	});
	return e >= n.__.length && n.__.push({}), n.__[e];
}
function R(e) {
	return fe = 1, Se(Ne, e);
}
function Se(e, t, n) {
	var r = xe(F++, 2);
	if (r.t = e, !r.__c && (r.__ = [n ? n(t) : Ne(void 0, t), function(e) {
		var t = (r.__N || r.__)[0], n = r.t(t, e);
		de(t, n) || (r.__N = [n, r.__[1]], r.__c.setState({}));
	}], r.__c = I, !I.__f)) {
		I.__f = !0;
		var i = I.shouldComponentUpdate;
		I.shouldComponentUpdate = function(e, t, n) {
			var r = this.__H;
			if (!r) return !0;
			var a = !1, o = this.props != e;
			if (r.__.some(function(e) {
				e.__N && (a = !0, de(e.__[0], e.__N[0]) || (o = !0));
			}), i) {
				var s = i.call(this, e, t, n);
				return a ? s || o : s;
			}
			return !a || o;
		};
	}
	return r.__;
}
function z(e, t) {
	var n = xe(F++, 3);
	!L.__s && Me(n.__H, t) && (n.__P = !0, n.__ = e, n.u = t, I.__H.__h.push(n));
}
function Ce(e) {
	return fe = 5, we(function() {
		return { current: e };
	}, []);
}
function we(e, t) {
	var n = xe(F++, 7);
	return Me(n.__H, t) && (n.__ = e(), n.__H = t), n.__;
}
function Te() {
	var e = xe(F++, 11);
	if (!e.__) {
		for (var t = I.__v; !t.__m && t.__;) t = t.__;
		var n = t.__m || (t.__m = [0, 0]);
		e.__ = "P" + n[0] + "-" + n[1]++;
	}
	return e.__;
}
function Ee() {
	var e;
	do {
		for (; e = me.shift();) try {
			Ae(e);
		} catch (t) {
			L.__e(t, { __: (e = e.__P) && e.__v });
		}
		for (; e = pe.shift();) {
			var t = e.__H;
			if (e.__P && t) try {
				t.__h.some(Ae), t.__h.some(je), t.__h = [];
			} catch (n) {
				t.__h = [], L.__e(n, e.__v);
			}
		}
	} while (me.length);
}
L.__b = function(e) {
	I = null, he && he(e);
}, L.__ = function(e, t) {
	e && t.__k && t.__k.__m && (e.__m = t.__k.__m), be && be(e, t);
}, L.__r = function(e) {
	ge && ge(e), F = 0;
	var t = (I = e.__c).__H;
	t && (le == I ? I.__h = [] : (t.__h.some(Ae), t.__h.some(je), F = 0), t.__h = [], t.__.some(function(e) {
		e.__N && (e.__ = e.__N), e.u = e.__N = void 0;
	})), le = I;
}, L.diffed = function(e) {
	_e && _e(e);
	var t = e.__c;
	t && t.__H && (t.__H.__h.length && ke(pe.push(t)), t.__H.__.some(function(e) {
		e.u && (e.__H = e.u);
	})), le = I = null;
}, L.__c = function(e, t) {
	t.some(function(e) {
		try {
			e.__h.some(Ae), e.__h = e.__h.filter(function(e) {
				return !e.__ || je(e);
			});
		} catch (t) {
			e.__h = [function() {
				throw t;
			}];
		}
	}), ve && ve(e, t);
}, L.unmount = function(e) {
	ye && ye(e);
	var t, n, r = e.__c;
	r && r.__H && (r.__H.__.some(function(r) {
		try {
			if (r.__P && r.__c) {
				if (n === void 0) {
					for (n = e.__; n && (!n.__c || !n.__c.__P);) n = n.__;
					n &&= n.__c;
				}
				r.__P = n, ke(me.push(r));
			} else Ae(r);
		} catch (e) {
			t = e;
		}
	}), r.__H = void 0, t && L.__e(t, r.__v));
};
var De = typeof requestAnimationFrame == "function";
function Oe(e) {
	var t, n = function() {
		clearTimeout(r), De && cancelAnimationFrame(t), setTimeout(e);
	}, r = setTimeout(n, 35);
	De && (t = requestAnimationFrame(n));
}
function ke(e) {
	e != 1 && ue == L.requestAnimationFrame || ((ue = L.requestAnimationFrame) || Oe)(Ee);
}
function Ae(e) {
	var t = I, n = e.__c;
	typeof n == "function" && (e.__c = void 0, n()), I = t;
}
function je(e) {
	var t = I;
	e.__c = e.__(), I = t;
}
function Me(e, t) {
	return !e || e.length != t.length || t.some(function(t, n) {
		return !de(t, e[n]);
	});
}
function Ne(e, t) {
	return typeof t == "function" ? t(e) : t;
}
// src/model/number.ts
var Pe = {
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
function B(e, t = 4) {
	if (Number.isNaN(e)) return "NaN";
	if (!Number.isFinite(e)) return e > 0 ? "∞" : "−∞";
	if (e === 0) return "0";
	let n = Math.abs(e);
	return n >= 1e5 || n < .001 ? Fe(e, t) : Ie(String(Number(e.toPrecision(t))));
}
function Fe(e, t) {
	let [n = "", r = "0"] = e.toExponential(t - 2).split("e");
	return `${Ie(String(Number(n)))}·10${V(String(Number(r)))}`;
}
function Ie(e) {
	return e.replace("-", "−");
}
function V(e) {
	return Array.from(e, (e) => Pe[e] ?? e).join("");
}
function Le(e) {
	return e.replace(/\d/g, (e) => String.fromCharCode(8320 + Number(e)));
}
function Re(e) {
	return e > 0 ? "positive" : e < 0 ? "negative" : "zero";
}
// src/model/entry.ts
var ze = {
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
}, Be = /* @__PURE__ */ new Set([
	"b",
	"db",
	"loss"
]);
function Ve({ quantity: e, layer: t }) {
	return ze[e] + (t > 0 ? V(String(t)) : "");
}
function He(e, t) {
	let n = (e.quantity === "delta" || e.quantity === "y") && t?.columns === 1, r = e.row + 1;
	if (Be.has(e.quantity) || n) return Ve(e) + Le(String(r));
	let i = e.column + 1, a = r > 9 || i > 9;
	return Ve(e) + Le(String(r)) + (a ? "," : "") + Le(String(i));
}
function Ue({ quantity: e, layer: t }) {
	return `${e}${t || ""}`;
}
function H(e) {
	return `${Ue(e)}.${e.row + 1}.${e.column + 1}`;
}
function We(e) {
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
function Ge(e, t) {
	return e !== void 0 && t !== void 0 && H(e) === H(t);
}
function U({ network: e, batch: t, pass: n }, { quantity: r, layer: i }) {
	switch (r) {
		case "W": return e.parameters[i - 1]?.W;
		case "b": return e.parameters[i - 1]?.b;
		case "x": return t.x;
		case "y": return "targets" in t.answers ? t.answers.targets : n?.get("y", 0);
		default: return n?.get(r, i);
	}
}
function W(e, t) {
	let n = U(e, t);
	if (!n) return;
	let r = Be.has(t.quantity) ? t.row : t.row * n.columns + t.column;
	return t.column < n.columns || Be.has(t.quantity) ? n.data[r] : void 0;
}
function Ke(e, t, n) {
	return Be.has(e.quantity) ? {
		...e,
		row: n,
		column: 0
	} : {
		...e,
		row: t,
		column: n
	};
}
function qe(e) {
	let t = {
		W: "dW",
		b: "db",
		x: "dx",
		z: "dz",
		h: "dh"
	}[e.quantity];
	return t && {
		...e,
		quantity: t
	};
}
function Je(e) {
	let t = {
		W: "W",
		b: "b",
		x: "x",
		y: "y",
		dW: "W",
		db: "b",
		dx: "x"
	}[e.quantity];
	return t && {
		...e,
		quantity: t
	};
}
// src/model/matrix.ts
function Ye(e, t, n) {
	return e.data[t * e.columns + n] ?? NaN;
}
function G(e) {
	return Object.is(e, -0) ? "-0" : String(e);
}
// node_modules/preact/jsx-runtime/dist/jsxRuntime.mjs
var Xe = Symbol.for("pv"), Ze = 0;
Array.isArray;
function K(t, n, r, i, a, o) {
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
		constructor: Xe,
		__v: --Ze,
		__i: -1,
		__u: 0
	};
	return (a || o) && (u.__source = a, u.__self = o), e.vnode && e.vnode(u), u;
}
// src/components/diagram/Edge.tsx
function Qe({ edge: e, entry: t, largest: n, drawing: r }) {
	let i = r.valueOf(t), a = i === void 0 ? "unknown" : Re(i), o = i === void 0 || n === 0 ? 0 : Math.abs(i) / n, { x1: s, y1: c, x2: l, y2: u, label: d } = e;
	return /* @__PURE__ */ K("g", {
		class: `edge ${a} ${r.classOf(t)}`,
		"data-entry": H(t),
		"data-value": i === void 0 ? void 0 : G(i),
		...r.handlers(t),
		children: [
			/* @__PURE__ */ K("line", {
				class: "reach",
				x1: s,
				y1: c,
				x2: l,
				y2: u
			}),
			/* @__PURE__ */ K("line", {
				class: "stroke",
				x1: s,
				y1: c,
				x2: l,
				y2: u,
				style: { strokeWidth: 1.1 + 4.4 * o }
			}),
			d && i !== void 0 && /* @__PURE__ */ K("text", {
				class: "edge-value",
				x: d.x,
				y: d.y,
				dy: "0.35em",
				children: B(i, 3)
			})
		]
	});
}
// src/model/network.ts
function $e(e) {
	return [e.inputs, ...e.layers.map((e) => e.units)];
}
function et(e) {
	return $e(e).join("-");
}
var tt = {
	linear: "linear",
	relu: "ReLU",
	leaky_relu: "leaky ReLU",
	sigmoid: "sigmoid",
	tanh: "tanh",
	gelu: "GELU",
	silu: "SiLU"
};
// src/components/diagram/LayerTitleText.tsx
function nt({ title: e, spec: t, direction: n, isUpright: r }) {
	let i = t.layers[e.layer - 1], a = n === "backward" ? "d" : "", o = V(String(e.layer)), s = i ? `Layer ${e.layer} · ${tt[i.activation]}` : "Inputs", c = i ? `${a}z${o} | ${a}h${o}` : `${a}x`;
	return /* @__PURE__ */ K("text", {
		class: `layer-title ${r ? "upright" : ""}`,
		x: e.x,
		y: e.y,
		children: [s, r ? /* @__PURE__ */ K("tspan", {
			class: "shows",
			dx: "10",
			children: c
		}) : /* @__PURE__ */ K("tspan", {
			class: "shows",
			x: e.x,
			dy: "20",
			children: c
		})]
	});
}
var rt = 12, it = 12, at = 300, ot = 12;
function st(e) {
	let t = $e(e), n = e.layers.reduce((e, n, r) => e + n.units * (t[r] ?? 0), 0);
	return Math.max(...t) <= rt && e.layers.length <= it && n <= at;
}
function ct(e, t) {
	return t ? ut($e(e)) : lt($e(e));
}
var q = {
	title: 50,
	row: 94,
	column: 244,
	margin: 6,
	target: 86,
	node: 136
};
function lt(e) {
	let t = Math.max(...e), n = e.length > 6 ? q.node + 64 : q.column, r = q.title + t * q.row, i = (r, i) => ({
		x: q.margin + r * n,
		y: q.title + ((t - (e[r] ?? 0)) / 2 + i) * q.row + (q.row - 46) / 2
	});
	return {
		width: q.margin + (e.length - 1) * n + q.node + q.target,
		height: r,
		isUpright: !1,
		nodeWidth: q.node,
		nodes: dt(e, i),
		edges: ft(e, (t, r, a) => {
			let [o, s] = [i(t - 1, r), i(t, a)], c = {
				x1: o.x + q.node,
				y1: o.y + 23,
				x2: s.x,
				y2: s.y + 23
			}, l = Math.min(1 / ((e[t] ?? 1) + 1), .36), u = n === q.column && (e[t] ?? 0) * (e[t - 1] ?? 0) <= ot, d = {
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
			x: i(t, 0).x + q.node / 2,
			y: 16
		}))
	};
}
var J = {
	row: 130,
	column: 124,
	title: 30,
	margin: 3,
	node: 118
};
function ut(e) {
	let t = Math.max(...e), n = J.margin * 2 + t * J.column - (J.column - J.node), r = (n, r) => ({
		x: J.margin + ((t - (e[n] ?? 0)) / 2 + r) * J.column,
		y: J.title + n * J.row
	});
	return {
		width: Math.max(n, 2 * J.column),
		height: J.title + (e.length - 1) * J.row + 46 + 44,
		isUpright: !0,
		nodeWidth: J.node,
		nodes: dt(e, r),
		edges: ft(e, (e, t, n) => {
			let [i, a] = [r(e - 1, t), r(e, n)];
			return {
				x1: i.x + J.node / 2,
				y1: i.y + 46,
				x2: a.x + J.node / 2,
				y2: a.y
			};
		}),
		titles: e.map((e, t) => ({
			layer: t,
			x: J.margin,
			y: J.title + t * J.row - 14
		}))
	};
}
function dt(e, t) {
	return e.flatMap((e, n) => Array.from({ length: e }, (e, r) => ({
		layer: n,
		unit: r,
		...t(n, r)
	})));
}
function ft(e, t) {
	return e.slice(1).flatMap((n, r) => Array.from({ length: n }, (n, i) => Array.from({ length: e[r] ?? 0 }, (e, n) => ({
		layer: r + 1,
		from: n,
		to: i,
		...t(r + 1, n, i)
	}))).flat());
}
// src/model/frames.ts
function pt(e) {
	let t = e.layers.length, n = e.layers.flatMap((e, n) => yt(e, n + 1, t)), r = [...e.layers.keys()].reverse().flatMap((t) => bt(e, t + 1));
	return [
		_t,
		...n,
		xt(e.loss),
		St(e),
		...r,
		vt
	];
}
function mt(e, t, n, r) {
	if (!t || [
		"W",
		"b",
		"x",
		"y"
	].includes(n)) return !0;
	let i = n === "db" ? "dW" : n, a = e.reduce((e, t) => Math.max(e, t.layer), 0), o = (i === "dz" || i === "dh") && r === a ? "delta" : `${i}${r || ""}`, s = e.findIndex((e) => e.id === o);
	return s < 0 ? e.indexOf(t) >= e.findIndex((e) => e.id === "dW1") : s <= e.indexOf(t);
}
function ht(e, t, { quantity: n, layer: r }) {
	return t ? t.id === "delta" ? n === "dz" && r === e.reduce((e, t) => Math.max(e, t.layer), 0) : t.quantity === n && t.layer === r : !1;
}
function gt({ phase: e }) {
	return e === "backward" || e === "update";
}
var _t = {
	id: "x",
	label: "x",
	phase: "forward",
	quantity: "x",
	layer: 0,
	latex: "h^{0} = x",
	plain: "h⁰ = x",
	text: "The samples are the rows of x. Everything starts with them."
}, vt = {
	id: "update",
	label: "update",
	phase: "update",
	layer: 0,
	latex: "W^{i} \\leftarrow W^{i} - \\eta \\, dW^{i}",
	plain: "Wⁱ ← Wⁱ − η dWⁱ",
	text: "Each weight takes a step against its gradient. Going back keeps the first weights."
};
function yt(e, t, n) {
	let r = V(String(t)), i = t === 1 ? "x" : `h^{${t - 1}}`, a = t === 1 ? "x" : `h${V(String(t - 1))}`, o = e.hasBias, s = t === n;
	return [{
		id: `z${t}`,
		label: `z${r}`,
		phase: "forward",
		quantity: "z",
		layer: t,
		latex: `z^{${t}} = ${i} {W^{${t}}}^\\top${o ? ` + b^{${t}}` : ""}`,
		plain: `z${r} = ${a} W${r}ᵀ${o ? ` + b${r}` : ""}`,
		text: `Each unit of layer ${t} adds up what comes in, times its weights.`
	}, {
		id: `h${t}`,
		label: s ? "f" : `h${r}`,
		phase: "forward",
		quantity: "h",
		layer: t,
		latex: `${s ? "f = " : ""}h^{${t}} = ${Et(e, `z^{${t}}`)}`,
		plain: `${s ? "f = " : ""}h${r} = σ(z${r})`,
		text: s ? "The outputs of the network." : `The activation (${tt[e.activation]}), entry by entry.`
	}];
}
function bt(e, t) {
	let n = e.layers[t - 1], r = e.layers[t - 2], [i, a] = [V(String(t)), V(String(t - 1))], o = e.layers.length, s = t === o ? "\\delta" : `dz^{${t}}`, c = t === o ? "δ" : `dz${i}`, l = {
		id: `dW${t}`,
		label: `dW${i}`,
		phase: "backward",
		quantity: "dW",
		layer: t,
		latex: `dW^{${t}} = {${s}}^\\top ${t === 1 ? "x" : `h^{${t - 1}}`}`,
		plain: `dW${i} = ${c}ᵀ ${t === 1 ? "x" : `h${a}`}`,
		text: `A weight's gradient: what came into it, times what comes back to its unit, summed over the samples${n?.hasBias ? `; db${i} is the sum of ${c} alone` : ""}.`
	};
	return r ? [
		l,
		{
			id: `dh${t - 1}`,
			label: `dh${a}`,
			phase: "backward",
			quantity: "dh",
			layer: t - 1,
			latex: `dh^{${t - 1}} = ${s} \\, W^{${t}}`,
			plain: `dh${a} = ${c} W${i}`,
			text: `What layer ${t} says goes back through the same weights.`
		},
		{
			id: `dz${t - 1}`,
			label: Tt(r, t - 1),
			phase: "backward",
			quantity: "dz",
			layer: t - 1,
			latex: `dz^{${t - 1}} = dh^{${t - 1}} \\odot ${Dt(r, `z^{${t - 1}}`, e.reluAtZero)}`,
			plain: `dz${a} = dh${a} ⊙ σ′(z${a})`,
			text: wt(r) ? "The mask: where a unit was off, nothing goes back." : `Times the slope of ${tt[r.activation]} where each unit stands.`
		}
	] : [l];
}
function xt(e) {
	let [t, n] = Ct[e];
	return {
		id: "loss",
		label: "l",
		phase: "loss",
		quantity: "loss",
		layer: 0,
		latex: t,
		plain: n,
		text: "One number says how far the outputs are from the targets."
	};
}
function St(e) {
	let t = e.layers.length;
	return {
		id: "delta",
		label: "δ",
		phase: "backward",
		quantity: "delta",
		layer: 0,
		latex: `\\delta = \\frac{\\partial l}{\\partial z^{${t}}}`,
		plain: `δ = ∂l/∂z${V(String(t))}`,
		text: `Backwards from here. δ says how the loss changes with each output${e.reduction === "mean" ? "; 1/m is in it" : ""}.`
	};
}
var Ct = {
	half_squared_error: ["l = \\frac{1}{2m} \\sum_k \\lVert f_k - y_k \\rVert^2", "l = 1/(2m) Σ‖f − y‖²"],
	mean_squared_error: ["l = \\frac{1}{m\\,n} \\sum_{k,j} (f_{kj} - y_{kj})^2", "l = 1/(m·n) Σ(f − y)²"],
	cross_entropy: ["l = -\\frac{1}{m} \\sum_k y_k \\cdot \\log \\operatorname{softmax}(f_k)", "l = −1/m Σ y log softmax(f)"],
	binary_cross_entropy: ["l = -\\frac{1}{m\\,n} \\sum_{k,j} y \\log \\sigma(f) + (1 - y) \\log(1 - \\sigma(f))", "l = −1/(m·n) Σ y log σ(f) + (1 − y) log(1 − σ(f))"]
};
function wt(e) {
	return e.activation === "relu";
}
function Tt(e, t) {
	return wt(e) ? `mask${V(String(t))}` : `dz${V(String(t))}`;
}
function Et({ activation: e, leakySlope: t = .01 }, n) {
	switch (e) {
		case "linear": return n;
		case "relu": return `\\max(0, ${n})`;
		case "leaky_relu": return `\\max(${t}\\,${n}, ${n})`;
		default: return `\\operatorname{${e}}(${n})`;
	}
}
function Dt(e, t, n) {
	return e.activation === "linear" ? "1" : wt(e) ? `1[${t} ${n === 1 ? "\\geq" : ">"} 0]` : `\\sigma'(${t})`;
}
// src/components/diagram/NetworkNode.tsx
function Ot({ node: e, nodeWidth: t, numbers: n, sample: r, direction: i, isUpright: a, drawing: o }) {
	let { spec: s } = n.network, { layer: c, unit: l, x: u, y: d } = e, f = i === "backward", p = c === 0, m = (e, t) => ({
		quantity: e,
		layer: t,
		row: r,
		column: l
	}), h = p ? [m(f ? "dx" : "x", 0)] : f ? [m("dz", c), m("dh", c)] : [m("z", c), m("h", c)], g = p ? void 0 : o.valueOf(m("z", c)), _ = g !== void 0 && At(n, c, g), v = t / h.length;
	return /* @__PURE__ */ K("g", {
		class: `node ${_ ? "off" : ""}`,
		transform: `translate(${u} ${d})`,
		children: [
			/* @__PURE__ */ K("rect", {
				class: "body",
				width: t,
				height: 46,
				rx: "10"
			}),
			_ && /* @__PURE__ */ K("rect", {
				class: "hatched",
				width: t,
				height: 46,
				rx: "10"
			}),
			h.map((e, t) => /* @__PURE__ */ K(Mt, {
				entry: e,
				x: t * v,
				width: v,
				drawing: o
			}, e.quantity)),
			h.length > 1 && /* @__PURE__ */ K("line", {
				class: "divider",
				x1: v,
				x2: v,
				y1: "7",
				y2: 39
			}),
			/* @__PURE__ */ K(Nt, {
				node: e,
				nodeWidth: t,
				numbers: n,
				isBackward: f,
				drawing: o
			}),
			_ && /* @__PURE__ */ K("text", {
				class: "why",
				x: t / 2,
				y: 63,
				children: f ? kt(o.valueOf(m("dz", c))) : `z = ${B(g, 3)} < 0 → 0`
			}),
			c === s.layers.length && /* @__PURE__ */ K(Pt, {
				entry: m("y", 0),
				nodeWidth: t,
				numbers: n,
				isUpright: a,
				drawing: o
			})
		]
	});
}
function kt(e) {
	return e === void 0 ? "off" : `off: dz = ${B(e, 3)}`;
}
function At({ network: e }, t, n) {
	let r = e.spec.layers[t - 1];
	return !r || !wt(r) ? !1 : e.spec.reluAtZero === 1 ? n < 0 : n <= 0;
}
var jt = {
	size: 16.5,
	width: .64
};
function Mt({ entry: e, x: t, width: n, drawing: r }) {
	let i = r.valueOf(e), a = i === void 0 ? "not yet" : B(i, 3), o = Math.min(jt.size, (n - 6) / (a.length * jt.width));
	return /* @__PURE__ */ K("g", {
		class: `half ${i === void 0 ? "unknown" : Re(i)} ${r.classOf(e)}`,
		"data-entry": H(e),
		"data-value": i === void 0 ? void 0 : G(i),
		...r.handlers(e),
		children: [/* @__PURE__ */ K("rect", {
			class: "reach",
			x: t + 2,
			y: "2",
			width: n - 4,
			height: 42,
			rx: "8"
		}), /* @__PURE__ */ K("text", {
			class: "value",
			x: t + n / 2,
			y: 23,
			dy: "0.35em",
			style: { fontSize: `${o}px` },
			children: a
		})]
	});
}
function Nt({ node: e, nodeWidth: t, numbers: n, isBackward: r, drawing: i }) {
	if (!n.network.spec.layers[e.layer - 1]?.hasBias) return null;
	let a = r ? "db" : "b", o = {
		quantity: a,
		layer: e.layer,
		row: e.unit,
		column: 0
	}, s = i.valueOf(o);
	return /* @__PURE__ */ K("text", {
		class: `bias ${s === void 0 ? "unknown" : Re(s)} ${i.classOf(o)}`,
		x: t / 2,
		y: "-6",
		...i.handlers(o),
		children: [
			a,
			" = ",
			s === void 0 ? "not yet" : B(s, 3)
		]
	});
}
function Pt({ entry: e, nodeWidth: t, numbers: n, isUpright: r, drawing: i }) {
	let a = W(n, e);
	return a === void 0 ? null : /* @__PURE__ */ K("text", {
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
		children: ["y = ", B(a, 3)]
	});
}
// src/components/diagram/Diagram.tsx
function Ft(e) {
	let { numbers: t, sample: n, direction: r, isUpright: i, isKnown: a, isCurrent: o, lit: s, picked: c, onPick: l, onPoint: u } = e, { spec: d } = t.network, f = we(() => ct(d, i), [d, i]), p = {
		valueOf: (e) => a(e) ? W(t, e) : void 0,
		classOf: (e) => [
			s.has(H(e)) && "lit",
			Ge(e, c) && "picked",
			o(e) && "current"
		].filter(Boolean).join(" "),
		handlers: (e) => ({
			onClick: () => l(e),
			onPointerEnter: () => u(e),
			onPointerLeave: () => u(void 0)
		})
	}, m = r === "forward" ? "W" : "dW", h = It(t, m), g = `The network ${d.inputs}-${d.layers.map((e) => e.units).join("-")}, ${r}, sample ${n + 1}. Its numbers are in the tables below.`;
	return /* @__PURE__ */ K("div", {
		class: "diagram-scroll",
		tabIndex: 0,
		children: /* @__PURE__ */ K("svg", {
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
				/* @__PURE__ */ K("defs", { children: /* @__PURE__ */ K("pattern", {
					id: "hatch",
					width: "7",
					height: "7",
					patternUnits: "userSpaceOnUse",
					patternTransform: "rotate(45)",
					children: /* @__PURE__ */ K("line", {
						class: "hatch",
						x1: "0",
						y1: "0",
						x2: "0",
						y2: "7"
					})
				}) }),
				f.edges.map((e) => /* @__PURE__ */ K(Qe, {
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
				f.titles.map((e) => /* @__PURE__ */ K(nt, {
					title: e,
					spec: d,
					direction: r,
					isUpright: i
				}, e.layer)),
				f.nodes.map((e) => /* @__PURE__ */ K(Ot, {
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
function It({ network: e, pass: t }, n) {
	let r = 0;
	return e.parameters.forEach(({ W: e }, i) => {
		let a = n === "W" ? e : t?.get("dW", i + 1);
		for (let e = 0; a && e < a.data.length; e++) r = Math.max(r, Math.abs(a.data[e] ?? 0));
	}), r;
}
// node_modules/@preact/signals-core/dist/signals-core.module.js
var Lt = Symbol.for("preact-signals");
function Rt() {
	if (X > 1) X--;
	else {
		var e, t = !1;
		for ((function() {
			var e = Kt;
			for (Kt = void 0; e !== void 0;) {
				var t = e.S;
				if (t.v === e.v) for (var n = t.t; n !== void 0; n = n.x) n.i === e.i && (n.i = t.i);
				e = e.o;
			}
		})(); Ht !== void 0;) {
			var n = Ht;
			for (Ht = void 0, Ut++; n !== void 0;) {
				var r = n.u;
				if (n.u = void 0, n.f &= -3, !(8 & n.f) && Xt(n)) try {
					n.c();
				} catch (n) {
					t ||= (e = n, !0);
				}
				n = r;
			}
		}
		if (Ut = 0, X--, t) throw e;
	}
}
function zt(e) {
	if (X > 0) return e();
	Gt = ++Wt, X++;
	try {
		return e();
	} finally {
		Rt();
	}
}
var Bt, Y = void 0;
function Vt(e) {
	var t = Y, n = Bt;
	Y = void 0, Bt = void 0;
	try {
		return e();
	} finally {
		Y = t, Bt = n;
	}
}
var Ht = void 0, X = 0, Ut = 0, Wt = 0, Gt = 0, Kt = void 0, qt = 0;
function Jt(e) {
	if (Y !== void 0) {
		var t = e.n;
		if (t === void 0 || t.t !== Y) return t = {
			i: 0,
			S: e,
			p: Y.s,
			n: void 0,
			t: Y,
			e: void 0,
			x: void 0,
			r: t
		}, Y.s !== void 0 && (Y.s.n = t), Y.s = t, e.n = t, 32 & Y.f && e.S(t), t;
		if (t.i === -1) return t.i = 0, t.n !== void 0 && (t.n.p = t.p, t.p !== void 0 && (t.p.n = t.n), t.p = Y.s, t.n = void 0, Y.s.n = t, Y.s = t), t;
	}
}
function Z(e, t) {
	this.v = e, this.i = 0, this.n = void 0, this.t = void 0, this.l = 0, this.W = t?.watched, this.Z = t?.unwatched, this.name = t?.name;
}
Z.prototype.brand = Lt, Z.prototype.h = function() {
	return !0;
}, Z.prototype.S = function(e) {
	var t = this, n = this.t;
	n !== e && e.e === void 0 && (e.x = n, this.t = e, n === void 0 ? Vt(function() {
		var e;
		(e = t.W) == null || e.call(t);
	}) : n.e = e);
}, Z.prototype.U = function(e) {
	var t = this;
	if (this.t !== void 0) {
		var n = e.e, r = e.x;
		n !== void 0 && (n.x = r, e.e = void 0), r !== void 0 && (r.e = n, e.x = void 0), e === this.t && (this.t = r, r === void 0 && Vt(function() {
			var e;
			(e = t.Z) == null || e.call(t);
		}));
	}
}, Z.prototype.subscribe = function(e) {
	var t = this;
	return an(function() {
		var n = t.value;
		Vt(function() {
			return e(n);
		});
	}, { name: "sub" });
}, Z.prototype.valueOf = function() {
	return this.value;
}, Z.prototype.toString = function() {
	return this.value + "";
}, Z.prototype.toJSON = function() {
	return this.value;
}, Z.prototype.peek = function() {
	var e = this;
	return Vt(function() {
		return e.value;
	});
}, Object.defineProperty(Z.prototype, "value", {
	get: function() {
		var e = Jt(this);
		return e !== void 0 && (e.i = this.i), this.v;
	},
	set: function(e) {
		if (e !== this.v) {
			if (Ut > 100) throw Error("Cycle detected");
			(function(e) {
				X !== 0 && Ut === 0 && e.l !== Gt && (e.l = Gt, Kt = {
					S: e,
					v: e.v,
					i: e.i,
					o: Kt
				});
			})(this), this.v = e, this.i++, qt++, X++;
			try {
				for (var t = this.t; t !== void 0; t = t.x) t.t.N();
			} finally {
				Rt();
			}
		}
	}
});
function Yt(e, t) {
	return new Z(e, t);
}
function Xt(e) {
	for (var t = e.s; t !== void 0; t = t.n) if (t.S.i !== t.i || !t.S.h() || t.S.i !== t.i) return !0;
	return !1;
}
function Zt(e) {
	for (var t = e.s; t !== void 0; t = t.n) {
		var n = t.S.n;
		if (n !== void 0 && (t.r = n), t.S.n = t, t.i = -1, t.n === void 0) {
			e.s = t;
			break;
		}
	}
}
function Qt(e) {
	for (var t = e.s, n = void 0; t !== void 0;) {
		var r = t.p;
		t.i === -1 ? (t.S.U(t), r !== void 0 && (r.n = t.n), t.n !== void 0 && (t.n.p = r)) : n = t, t.S.n = t.r, t.r !== void 0 && (t.r = void 0), t = r;
	}
	e.s = n;
}
function Q(e, t) {
	Z.call(this, void 0, t), this.x = e, this.s = void 0, this.g = qt - 1, this.f = 4;
}
Q.prototype = new Z(), Q.prototype.h = function() {
	if (this.f &= -3, 1 & this.f) return !1;
	if ((36 & this.f) == 32 || (this.f &= -5, this.g === qt)) return !0;
	if (this.g = qt, this.f |= 1, this.i > 0 && !Xt(this)) return this.f &= -2, !0;
	var e = Y;
	try {
		Zt(this), Y = this;
		var t = this.x();
		(16 & this.f || this.v !== t || this.i === 0) && (this.v = t, this.f &= -17, this.i++);
	} catch (e) {
		this.v = e, this.f |= 16, this.i++;
	}
	return Y = e, Qt(this), this.f &= -2, !0;
}, Q.prototype.S = function(e) {
	if (this.t === void 0) {
		this.f |= 36;
		for (var t = this.s; t !== void 0; t = t.n) t.S.S(t);
	}
	Z.prototype.S.call(this, e);
}, Q.prototype.U = function(e) {
	if (this.t !== void 0 && (Z.prototype.U.call(this, e), this.t === void 0)) {
		this.f &= -33;
		for (var t = this.s; t !== void 0; t = t.n) t.S.U(t);
	}
}, Q.prototype.N = function() {
	if (!(2 & this.f)) {
		this.f |= 6;
		for (var e = this.t; e !== void 0; e = e.x) e.t.N();
	}
}, Object.defineProperty(Q.prototype, "value", { get: function() {
	if (1 & this.f) throw Error("Cycle detected");
	var e = Jt(this);
	if (this.h(), e !== void 0 && (e.i = this.i), 16 & this.f) throw this.v;
	return this.v;
} });
function $t(e, t) {
	return new Q(e, t);
}
function en(e) {
	var t = e.j;
	if (e.j = void 0, typeof t == "function") {
		X++;
		var n = Y;
		Y = void 0;
		try {
			t();
		} catch (t) {
			throw e.f &= -2, e.f |= 8, tn(e), t;
		} finally {
			Y = n, Rt();
		}
	}
}
function tn(e) {
	for (var t = e.s; t !== void 0; t = t.n) t.S.U(t);
	e.x = void 0, e.s = void 0, en(e);
}
function nn(e) {
	if (Y !== this) throw Error("Out-of-order effect");
	Qt(this), Y = e, this.f &= -2;
	try {
		8 & this.f && tn(this);
	} finally {
		Rt();
	}
}
function rn(e, t) {
	this.x = e, this.j = void 0, this.s = void 0, this.u = void 0, this.f = 32, this.name = t?.name, Bt && Bt.push(this);
}
rn.prototype.c = function() {
	var e = this.S();
	try {
		if (8 & this.f || this.x === void 0) return;
		var t = this.x();
		typeof t == "function" && (this.j = t);
	} finally {
		e();
	}
}, rn.prototype.S = function() {
	if (1 & this.f) throw Error("Cycle detected");
	this.f |= 1, this.f &= -9, en(this), Zt(this), X++;
	var e = Y;
	return Y = this, nn.bind(this, e);
}, rn.prototype.N = function() {
	2 & this.f || (this.f |= 2, this.u = Ht, Ht = this);
}, rn.prototype.d = function() {
	this.f |= 8, 1 & this.f || tn(this);
}, rn.prototype.dispose = function() {
	this.d();
};
function an(e, t) {
	var n = new rn(e, t);
	try {
		n.c();
	} catch (e) {
		throw n.d(), e;
	}
	var r = n.d.bind(n);
	return r[Symbol.dispose] = r, r;
}
// node_modules/@preact/signals/dist/signals.module.js
var on, sn, cn = typeof window < "u" && !!window.__PREACT_SIGNALS_DEVTOOLS__, ln = [];
an(function() {
	on = this.N;
})();
function un(t, n) {
	e[t] = n.bind(null, e[t] || function() {});
}
function dn(e) {
	if (sn) {
		var t = sn;
		sn = void 0, t();
	}
	sn = e && e.S();
}
function fn(e) {
	var t = this, r = e.data, i = mn(r);
	i.name = "ReactiveDom", i.value = r;
	var a = we(function() {
		for (var e = t, r = t.__v; r = r.__;) if (r.__c) {
			r.__c.__$f |= 4;
			break;
		}
		var a = $t(function() {
			var e = i.value.value;
			return e === 0 ? 0 : !0 === e ? "" : e || "";
		}), o = $t(function() {
			return !Array.isArray(a.value) && !n(a.value);
		}), s = an(function() {
			if (this.N = _n, o.value) {
				var t = a.value;
				e.__v && e.__v.__e && e.__v.__e.nodeType === 3 && (e.__v.__e.data = t);
			}
		}), c = t.__$u.d;
		return t.__$u.d = function() {
			s(), c.call(this);
		}, [o, a];
	}, []), o = a[0], s = a[1];
	return o.value ? s.peek() : s.value;
}
fn.displayName = "ReactiveTextNode", Object.defineProperties(Z.prototype, {
	constructor: {
		configurable: !0,
		value: y(x, null).constructor
	},
	type: {
		configurable: !0,
		value: fn
	},
	props: {
		configurable: !0,
		get: function() {
			var e = this;
			return { data: { get value() {
				return e.value;
			} } };
		}
	},
	__b: {
		configurable: !0,
		value: 1
	}
}), un("__b", function(e, t) {
	if (dn(), typeof t.type == "string") {
		var n, r = t.props;
		for (var i in r) if (i !== "children") {
			var a = r[i];
			a instanceof Z && (n || (t.__np = n = {}), n[i] = a, r[i] = a.peek());
		}
	}
	e(t);
}), un("__r", function(e, t) {
	if (e(t), t.type !== x) {
		dn();
		var n, r = t.__c;
		r && (r.__$f &= -2, (n = r.__$u) === void 0 && (r.__$u = n = function(e, t) {
			var n;
			return an(function() {
				n = this;
			}, { name: t }), n.c = e, n;
		}(function(e) {
			return function() {
				var t;
				cn && ((t = this.y) == null || t.call(this)), e.__$f |= 1, e.setState({});
			};
		}(r), typeof t.type == "function" ? t.type.displayName || t.type.name : ""))), dn(n);
	}
}), un("__e", function(e, t, n, r) {
	dn(), e(t, n, r);
}), un("diffed", function(e, t) {
	dn();
	var n;
	if (typeof t.type == "string" && (n = t.__e)) {
		var r = t.__np, i = t.props, a = n.U;
		if (a) for (var o in a) {
			var s = a[o];
			s === void 0 || r && o in r || (s.d(), a[o] = void 0);
		}
		if (r) for (var c in a || (a = {}, n.U = a), r) {
			var l = a[c], u = r[c];
			l === void 0 ? (l = pn(n, c, u, i), a[c] = l) : l.o(u, i);
		}
	}
	e(t);
});
function pn(e, t, n, r) {
	var i = t in e && e.ownerSVGElement === void 0, a = Yt(n);
	return {
		o: function(e, t) {
			a.value = e, r = t;
		},
		d: an(function() {
			this.N = _n;
			var n = a.value.value;
			r[t] !== n && (r[t] = n, i ? e[t] = n : n != null && (!1 !== n || t[4] === "-") ? e.setAttribute(t, n) : e.removeAttribute(t));
		})
	};
}
un("unmount", function(e, t) {
	if (typeof t.type == "string") {
		var n = t.__e;
		if (n) {
			var r = n.U;
			if (r) for (var i in n.U = void 0, r) {
				var a = r[i];
				a && a.d();
			}
		}
		var o = t.__np;
		if (o) {
			var s = t.props;
			for (var c in o) s[c] = o[c];
		}
		t.__np = void 0;
	} else {
		var l = t.__c;
		if (l) {
			l.__$f |= 8;
			var u = l.__$u;
			u && (l.__$u = void 0, u.d());
		}
	}
	e(t);
}), un("__h", function(e, t, n, r) {
	r < 3 && (t.__$f |= 2), e(t, n, r);
}), S.prototype.shouldComponentUpdate = function(e, t) {
	if (this.__R) return !0;
	var n = this.__$u, r = n && n.s !== void 0;
	for (var i in t) return !0;
	if (this.__f || typeof this.u == "boolean" && !0 === this.u) {
		var a = 2 & this.__$f;
		if (!(r || a || 4 & this.__$f) || 1 & this.__$f) return !0;
	} else if (!(r || 4 & this.__$f) || 3 & this.__$f) return !0;
	for (var o in e) if (o !== "__source" && e[o] !== this.props[o]) return !0;
	for (var s in this.props) if (!(s in e)) return !0;
	return !1;
};
function mn(e, t) {
	return we(function() {
		return Yt(e, t);
	}, []);
}
var hn = function(e) {
	queueMicrotask(function() {
		queueMicrotask(e);
	});
};
function gn() {
	zt(function() {
		for (var e; e = ln.shift();) on.call(e);
	});
}
function _n() {
	ln.push(this) === 1 && (e.requestAnimationFrame || hn)(gn);
}
// src/components/Live.tsx
var vn = Yt("");
function yn(e) {
	vn.value = e === vn.peek() ? `${e}\u00a0` : e;
}
function bn() {
	return /* @__PURE__ */ K("div", {
		class: "visually-hidden",
		role: "status",
		"aria-live": "polite",
		children: vn
	});
}
// src/components/NumberText.tsx
function $({ value: e, digits: t = 4 }) {
	let n = G(e);
	return /* @__PURE__ */ K("data", {
		class: `number ${Re(e)}`,
		value: n,
		"data-value": n,
		title: n,
		children: B(e, t)
	});
}
// src/components/PictureSwitches.tsx
var xn = 200;
function Sn({ direction: e, setDirection: t, sample: n, setSample: r, samples: i }) {
	return /* @__PURE__ */ K(x, { children: [/* @__PURE__ */ K("fieldset", {
		class: "segments",
		children: [/* @__PURE__ */ K("legend", {
			class: "visually-hidden",
			children: "Direction"
		}), ["forward", "backward"].map((n) => /* @__PURE__ */ K("button", {
			type: "button",
			"aria-pressed": n === e,
			onClick: () => t(n),
			children: n === "forward" ? "Forward →" : "← Backward"
		}, n))]
	}), /* @__PURE__ */ K("label", { children: [
		"Sample",
		" ",
		/* @__PURE__ */ K("select", {
			value: String(n),
			onChange: (e) => r(Number(e.currentTarget.value)),
			children: Array.from({ length: Math.min(i, xn) }, (e, t) => /* @__PURE__ */ K("option", {
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
// src/components/PlayerStrip.tsx
var Cn = [
	["slow", 4e3],
	["normal", 2e3],
	["fast", 800]
];
function wn({ frames: e, frame: t, onFrame: n, formulaOf: r, isPageWide: i }) {
	let a = t ? e.indexOf(t) : -1, o = a === e.length - 1, [s, c] = R("normal"), [l, u] = Tn(a, e, s, n), d = (e) => {
		u(!1), n(e);
	}, f = (t) => {
		a < 0 && t < 0 || (!o || t < 0) && d(e[a + t]);
	}, p = () => {
		!l && (a < 0 || o) && n(e[0]), u(!l);
	}, m = En(i, {
		ArrowRight: () => f(1),
		ArrowLeft: () => f(-1),
		" ": p
	});
	return z(() => {
		t && yn(`${t.plain}. ${t.text}`);
	}, [t]), /* @__PURE__ */ K("section", {
		class: "player card",
		"aria-label": "Player",
		ref: m,
		children: [/* @__PURE__ */ K("div", {
			class: "player-bar",
			children: [
				/* @__PURE__ */ K("button", {
					type: "button",
					onClick: p,
					"aria-label": l ? "Pause" : "Play",
					title: "Space",
					children: l ? "❚❚" : "▶"
				}),
				/* @__PURE__ */ K("button", {
					type: "button",
					onClick: () => f(-1),
					disabled: !t,
					"aria-label": "One step back",
					title: "←",
					children: "←"
				}),
				/* @__PURE__ */ K("ol", {
					class: "frames",
					children: e.map((e, n) => /* @__PURE__ */ K("li", { children: /* @__PURE__ */ K("button", {
						type: "button",
						class: `frame ${e.phase} ${n < a ? "done" : ""}`,
						"data-frame": e.id,
						"aria-current": e === t ? "step" : void 0,
						onClick: () => d(e === t ? void 0 : e),
						children: e.label
					}) }, e.id))
				}),
				/* @__PURE__ */ K("button", {
					type: "button",
					class: "primary",
					onClick: () => f(1),
					disabled: o,
					"aria-label": "One step forward",
					title: "→",
					children: "→"
				})
			]
		}), /* @__PURE__ */ K("div", {
			class: "frame-text",
			"data-current": t?.id,
			children: [
				t && r(t),
				/* @__PURE__ */ K("p", {
					class: t ? "" : "quiet",
					children: t?.text ?? "Play the pass, or step through it with → and ←, from the inputs to the update."
				}),
				t && /* @__PURE__ */ K("button", {
					type: "button",
					class: "plain",
					onClick: () => d(void 0),
					children: "Show everything"
				}),
				/* @__PURE__ */ K("label", {
					class: "pace",
					children: [/* @__PURE__ */ K("span", {
						class: "visually-hidden",
						children: "Speed"
					}), /* @__PURE__ */ K("select", {
						value: s,
						onChange: (e) => c(e.currentTarget.value),
						children: Cn.map(([e]) => /* @__PURE__ */ K("option", {
							value: e,
							children: e
						}, e))
					})]
				})
			]
		})]
	});
}
function Tn(e, t, n, r) {
	let [i, a] = R(!1);
	return z(() => {
		if (!i) return;
		let o = t[e + 1];
		if (!o) {
			a(!1);
			return;
		}
		let s = setTimeout(() => r(o), Object.fromEntries(Cn)[n]);
		return () => clearTimeout(s);
	}, [
		i,
		e,
		t,
		n
	]), z(() => {
		let e = () => {
			document.hidden && a(!1);
		};
		return document.addEventListener("visibilitychange", e), () => document.removeEventListener("visibilitychange", e);
	}, []), [i, a];
}
function En(e, t) {
	let n = Ce(null), r = Ce(t);
	return r.current = t, z(() => {
		let t = e ? window : n.current, i = (e) => {
			if (!(e instanceof KeyboardEvent) || !Dn(e)) return;
			let t = r.current[e.key];
			t && (e.preventDefault(), t());
		};
		return t?.addEventListener("keydown", i), () => t?.removeEventListener("keydown", i);
	}, [e]), n;
}
function Dn({ altKey: e, ctrlKey: t, metaKey: n, shiftKey: r, key: i, target: a }) {
	if (e || t || n || r || !(a instanceof HTMLElement)) return !1;
	let o = i === " " ? "a, button, summary, input, textarea, select, [role=grid]" : "input, textarea, select, [role=grid]";
	return a.closest(o) === null;
}
// src/components/NudgeTable.tsx
var On = [
	.1,
	.01,
	.001,
	1e-4,
	1e-5
], kn = .001;
function An({ name: e, h: t, onH: n, losses: r, derivative: i, derivativeName: a, onDerivative: o }) {
	let [s, c] = r ?? [], l = s === void 0 || c === void 0 ? void 0 : (s - c) / (2 * t);
	return /* @__PURE__ */ K("div", {
		class: "nudge",
		children: [/* @__PURE__ */ K("label", { children: [
			"Nudge ",
			e,
			" by h =",
			" ",
			/* @__PURE__ */ K("select", {
				value: String(t),
				onChange: (e) => n(Number(e.currentTarget.value)),
				children: On.map((e) => /* @__PURE__ */ K("option", {
					value: String(e),
					children: e
				}, e))
			})
		] }), /* @__PURE__ */ K("table", {
			class: "plain-table",
			children: [/* @__PURE__ */ K("tbody", { children: [
				/* @__PURE__ */ K(jn, {
					title: `l(${e} + h)`,
					value: s,
					digits: 8
				}),
				/* @__PURE__ */ K(jn, {
					title: `l(${e} − h)`,
					value: c,
					digits: 8
				}),
				/* @__PURE__ */ K(jn, {
					title: "their difference / 2h",
					value: l,
					digits: 6
				})
			] }), /* @__PURE__ */ K("tfoot", { children: /* @__PURE__ */ K("tr", { children: [/* @__PURE__ */ K("th", {
				scope: "row",
				children: /* @__PURE__ */ K("button", {
					type: "button",
					class: "link",
					onClick: o,
					children: a
				})
			}), /* @__PURE__ */ K("td", { children: i === void 0 ? "not yet" : /* @__PURE__ */ K($, {
				value: i,
				digits: 6
			}) })] }) })]
		})]
	});
}
function jn({ title: e, value: t, digits: n }) {
	return /* @__PURE__ */ K("tr", { children: [/* @__PURE__ */ K("th", {
		scope: "row",
		children: e
	}), /* @__PURE__ */ K("td", { children: t === void 0 ? "…" : /* @__PURE__ */ K($, {
		value: t,
		digits: n
	}) })] });
}
// src/components/ValueField.tsx
function Mn({ name: e, value: t, onChange: n }) {
	let r = (e) => {
		let t = Number(e);
		e.trim() !== "" && Number.isFinite(t) && n(t);
	}, i = Math.max(2, Math.ceil(Math.abs(t)) * 2);
	return /* @__PURE__ */ K("div", {
		class: "row",
		children: [/* @__PURE__ */ K("label", {
			class: "value-field",
			children: [
				e,
				" =",
				/* @__PURE__ */ K("input", {
					type: "number",
					step: "any",
					value: G(t),
					onChange: (e) => r(e.currentTarget.value),
					onKeyDown: (e) => e.key === "Enter" && r(e.currentTarget.value)
				})
			]
		}), /* @__PURE__ */ K("input", {
			type: "range",
			"aria-label": `Slide ${e}`,
			min: -i,
			max: i,
			step: "0.05",
			value: t,
			onInput: (e) => r(e.currentTarget.value)
		})]
	});
}
// src/widget/kernel.ts
function Nn(e) {
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
		changes: e.get("changes"),
		problem: e.get("problem"),
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
				get: (e, t) => u[Ue({
					quantity: e,
					layer: t
				})]
			}
		}
	};
}
function Pn(e, t) {
	let n = [
		"change:numbers",
		"change:changes",
		"change:problem"
	];
	for (let r of n) e.on(r, t);
	return () => {
		for (let r of n) e.off(r, t);
	};
}
function Fn(e, t) {
	e.set("changes", t), e.save_changes();
}
var In = 0;
async function Ln(e, t, n) {
	return Bn(await zn(e, {
		entry: Ue(t),
		row: t.row + 1,
		column: t.column + 1,
		expansion: n
	}));
}
async function Rn(e, t, n) {
	return (await zn(e, {
		place: H(t),
		values: n
	})).losses;
}
function zn(e, t) {
	In += 1;
	let n = In;
	return new Promise((r, i) => {
		let a = (t) => {
			t.id === n && (e.off("msg:custom", a), "error" in t ? i(Error(t.error)) : r(t));
		};
		e.on("msg:custom", a), e.send({
			id: n,
			...t
		});
	});
}
function Bn({ equations: e, unexplained: t }) {
	return {
		unexplained: t,
		equations: e.map((e) => ({
			...e,
			terms: e.terms.map((e) => ({
				...e,
				factors: e.factors.map(({ entry: e, ...t }) => {
					let n = We(e);
					return {
						...t,
						...n && { entry: n }
					};
				})
			}))
		}))
	};
}
// src/widget/useAnswer.ts
function Vn(e, t) {
	let [n, r] = R({});
	return z(() => {
		let t = !0;
		return r({}), e()?.then((e) => t && r({ value: e }), (e) => t && r({ problem: e.message })), () => {
			t = !1;
		};
	}, t), n;
}
// src/widget/KernelEditor.tsx
function Hn({ model: e, entry: t, numbers: n, isKnown: r, onPick: i }) {
	let a = Je(t), o = a && W(n, a);
	if (!a || o === void 0) return null;
	let s = He(a, U(n, a)), c = qe(a), l = {
		model: e,
		entry: a,
		numbers: n,
		isKnown: r,
		onPick: i,
		name: s,
		value: o
	};
	return /* @__PURE__ */ K("section", {
		"aria-label": `Change ${s}`,
		children: [/* @__PURE__ */ K(Mn, {
			name: s,
			value: o,
			onChange: (t) => Fn(e, {
				...e.get("changes"),
				[H(a)]: t
			})
		}), c && /* @__PURE__ */ K(Un, {
			...l,
			gradient: c
		})]
	});
}
function Un({ model: e, entry: t, numbers: n, isKnown: r, onPick: i, name: a, value: o, gradient: s }) {
	let [c, l] = R(kn), { value: u, problem: d } = Vn(() => Rn(e, t, [o + c, o - c]), [
		e,
		H(t),
		c,
		n
	]);
	return /* @__PURE__ */ K(x, { children: [d && /* @__PURE__ */ K("p", {
		role: "alert",
		children: d
	}), /* @__PURE__ */ K(An, {
		name: a,
		h: c,
		onH: l,
		losses: u,
		derivative: r(s) ? W(n, s) : void 0,
		derivativeName: He(s, U(n, s)),
		onDerivative: () => i(s)
	})] });
}
// src/components/MatrixTable.tsx
var Wn = {
	ArrowUp: [-1, 0],
	ArrowDown: [1, 0],
	ArrowLeft: [0, -1],
	ArrowRight: [0, 1]
};
function Gn(e) {
	let { matrix: t, caption: n, name: r, onPick: i, limit: a = 32 } = e, o = Te(), s = Ce(null), [c, l] = R({
		row: 0,
		column: 0
	}), u = Math.min(t.rows, a), d = Math.min(t.columns, a), f = {
		row: qn(c.row, u),
		column: qn(c.column, d)
	}, p = u < t.rows || d < t.columns, m = (e, t) => {
		if (e.key === "Enter" || e.key === " ") {
			e.preventDefault(), i?.(t);
			return;
		}
		let n = Wn[e.key];
		if (!n) return;
		e.preventDefault(), e.stopPropagation();
		let r = qn(t.row + n[0], u), a = qn(t.column + n[1], d);
		l({
			row: r,
			column: a
		}), s.current?.querySelector(`[data-row="${r}"][data-column="${a}"]`)?.focus();
	};
	return /* @__PURE__ */ K("div", {
		class: "matrix-scroll",
		tabIndex: i ? void 0 : 0,
		children: [
			/* @__PURE__ */ K("p", {
				class: "matrix-caption",
				id: o,
				children: n
			}),
			/* @__PURE__ */ K("table", {
				ref: s,
				class: "matrix",
				"data-matrix": r,
				role: i ? "grid" : void 0,
				"aria-labelledby": o,
				children: /* @__PURE__ */ K("tbody", { children: Array.from({ length: u }, (t, n) => /* @__PURE__ */ K("tr", { children: Array.from({ length: d }, (t, r) => /* @__PURE__ */ K(Kn, {
					...e,
					cell: {
						row: n,
						column: r
					},
					isStop: f.row === n && f.column === r,
					onWalk: m
				}, r)) }, n)) })
			}),
			p && /* @__PURE__ */ K("p", {
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
function Kn({ matrix: e, nameOf: t, classOf: n, noteOf: r, onPick: i, onPoint: a, digits: o = 4, cell: s, isStop: c, onWalk: l }) {
	let u = Ye(e, s.row, s.column), d = t(s), f = r?.(s) ?? "", p = B(u, o), m = i && {
		role: "gridcell",
		tabIndex: c ? 0 : -1,
		onClick: () => i(s),
		onKeyDown: (e) => l(e, s),
		"aria-label": `${d} = ${p}${f && `, ${f}`}`
	};
	return /* @__PURE__ */ K("td", {
		class: `${Re(u)} ${n?.(s) ?? ""}`,
		"data-entry": d,
		"data-value": G(u),
		"data-row": s.row,
		"data-column": s.column,
		title: `${d} = ${G(u)}${f && `\n${f}`}`,
		onPointerEnter: () => a?.(s),
		onPointerLeave: () => a?.(void 0),
		onFocus: () => a?.(s),
		onBlur: () => a?.(void 0),
		...m,
		children: p
	});
}
function qn(e, t) {
	return Math.min(Math.max(e, 0), t - 1);
}
// src/widget/KernelTables.tsx
function Jn({ numbers: e, direction: t, isKnown: n, onPick: r, onPoint: i }) {
	return /* @__PURE__ */ K("div", {
		class: "layer-tables",
		children: Yn(e, t).filter(n).map((t) => /* @__PURE__ */ K(Xn, {
			place: t,
			numbers: e,
			onPick: r,
			onPoint: i
		}, Ue(t)))
	});
}
function Yn({ network: e }, t) {
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
function Xn({ place: e, numbers: t, onPick: n, onPoint: r }) {
	let i = U(t, e);
	return i ? /* @__PURE__ */ K(Gn, {
		matrix: i,
		name: Ue(e),
		caption: Ve(e),
		nameOf: ({ row: t, column: n }) => He(Ke(e, t, n), i),
		onPick: ({ row: t, column: r }) => n(Ke(e, t, r)),
		onPoint: (t) => r(t && Ke(e, t.row, t.column))
	}) : null;
}
// src/components/Terms.tsx
var Zn = 4;
function Qn({ equation: e, ...t }) {
	let { terms: n, foldedTerms: r, foldedValue: i } = e, a = n.length + r;
	return /* @__PURE__ */ K("details", {
		class: "terms",
		open: a <= Zn,
		children: [/* @__PURE__ */ K("summary", { children: a === 1 ? "One term" : `A sum of ${a} terms` }), /* @__PURE__ */ K("table", { children: [/* @__PURE__ */ K("tbody", { children: [n.map((e) => /* @__PURE__ */ K($n, {
			term: e,
			...t
		}, e.factors.map((e) => e.text).join("·"))), r > 0 && /* @__PURE__ */ K("tr", { children: [/* @__PURE__ */ K("td", {
			class: "quiet",
			children: [r, " more terms"]
		}), /* @__PURE__ */ K("td", { children: /* @__PURE__ */ K($, { value: i }) })] })] }), /* @__PURE__ */ K("tfoot", { children: /* @__PURE__ */ K("tr", { children: [/* @__PURE__ */ K("th", {
			scope: "row",
			children: "="
		}), /* @__PURE__ */ K("td", { children: /* @__PURE__ */ K($, {
			value: e.value,
			digits: 6
		}) })] }) })] })]
	});
}
function $n({ term: e, ...t }) {
	return /* @__PURE__ */ K("tr", { children: [/* @__PURE__ */ K("td", { children: /* @__PURE__ */ K("span", {
		class: "factors",
		children: e.factors.map((e) => /* @__PURE__ */ K(er, {
			factor: e,
			...t
		}, e.text))
	}) }), /* @__PURE__ */ K("td", { children: /* @__PURE__ */ K($, { value: e.value }) })] });
}
function er({ factor: e, onLight: t, onPick: n }) {
	let { entry: r } = e, i = /* @__PURE__ */ K(x, { children: [/* @__PURE__ */ K("span", {
		class: "symbol",
		children: e.text
	}), /* @__PURE__ */ K($, { value: e.value })] });
	if (!r) return /* @__PURE__ */ K("span", {
		class: "factor",
		children: i
	});
	let a = () => t(r), o = () => t(void 0);
	return /* @__PURE__ */ K("button", {
		type: "button",
		class: "factor",
		"data-entry": H(r),
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
// src/widget/KernelWhy.tsx
var tr = [
	["definition", "Definition"],
	["chain", "Chain rule"],
	["leaves", "Leaves"]
];
function nr({ model: e, entry: t, numbers: n, onLight: r, onPick: i }) {
	let [a, o] = R("definition"), s = [
		"W",
		"b",
		"x",
		"y",
		"loss"
	].includes(t.quantity), { value: c, problem: l } = Vn(() => s ? void 0 : Ln(e, t, a), [
		e,
		H(t),
		a,
		n
	]), u = W(n, t), d = He(t, U(n, t));
	return s ? /* @__PURE__ */ K("p", {
		"aria-live": "polite",
		children: [
			d,
			" = ",
			u === void 0 ? "" : G(u)
		]
	}) : /* @__PURE__ */ K("section", {
		"aria-label": `Why ${d} has its value`,
		"aria-live": "polite",
		children: [
			/* @__PURE__ */ K("fieldset", {
				class: "segments",
				children: [/* @__PURE__ */ K("legend", {
					class: "visually-hidden",
					children: "How far to go"
				}), tr.map(([e, t]) => /* @__PURE__ */ K("button", {
					type: "button",
					"aria-pressed": e === a,
					onClick: () => o(e),
					children: t
				}, e))]
			}),
			l && /* @__PURE__ */ K("p", {
				role: "alert",
				children: l
			}),
			c?.equations.map((e, t) => /* @__PURE__ */ K("div", { children: [/* @__PURE__ */ K("p", {
				class: "equation",
				children: [
					e.text,
					/* @__PURE__ */ K("br", {}),
					"= ",
					e.numbers
				]
			}), t === 0 && /* @__PURE__ */ K(Qn, {
				equation: e,
				onLight: r,
				onPick: i
			})] }, e.text))
		]
	});
}
// src/widget/NotebookPicture.tsx
function rr({ model: e }) {
	let [t, n] = R(() => Nn(e)), [r, i] = R("forward"), [a, o] = R(0), [s, c] = R(void 0), [l, u] = R(void 0), [d, f] = R(void 0), [p, m] = R(void 0);
	z(() => Pn(e, () => n(Nn(e))), [e]);
	let { numbers: h, step: g } = t, { spec: _ } = h.network, v = we(() => pt(_), [JSON.stringify(_)]), y = ({ quantity: e, layer: t }) => mt(v, s, e, t), b = d && y(d) ? W(h, d) : void 0;
	return /* @__PURE__ */ K("div", {
		class: "notebook-picture",
		"data-lm-suppress-shortcuts": "true",
		children: [
			/* @__PURE__ */ K("div", {
				class: "picture-bar",
				children: [/* @__PURE__ */ K(Sn, {
					direction: r,
					setDirection: i,
					sample: a,
					setSample: o,
					samples: h.batch.x.rows
				}), /* @__PURE__ */ K("span", {
					class: "loss",
					children: [
						"step ",
						g,
						", l =",
						" ",
						y({
							quantity: "loss",
							layer: 0
						}) ? /* @__PURE__ */ K($, {
							value: h.pass?.loss ?? NaN,
							digits: 5
						}) : "not yet"
					]
				})]
			}),
			st(_) ? /* @__PURE__ */ K(Ft, {
				numbers: h,
				sample: a,
				direction: r,
				isUpright: !1,
				isKnown: y,
				isCurrent: (e) => ht(v, s, e),
				lit: new Set(p ? [H(p)] : []),
				picked: l,
				onPick: u,
				onPoint: f
			}) : /* @__PURE__ */ K("p", { children: [et(_), " is too large for a picture; its numbers are in the tables."] }),
			/* @__PURE__ */ K("p", {
				class: "readout quiet",
				"aria-hidden": "true",
				children: d && b !== void 0 ? `${He(d, U(h, d))} = ${G(b).replace("-", "−")}` : "Choose a number to see how it is formed, or to change it."
			}),
			l && /* @__PURE__ */ K(nr, {
				model: e,
				entry: l,
				numbers: h,
				onLight: m,
				onPick: u
			}),
			l && /* @__PURE__ */ K(Hn, {
				model: e,
				entry: l,
				numbers: h,
				isKnown: y,
				onPick: u
			}),
			/* @__PURE__ */ K(ir, {
				model: e,
				state: t
			}),
			st(_) && /* @__PURE__ */ K(wn, {
				frames: v,
				frame: s,
				onFrame: (e) => {
					c(e), e && i(gt(e) ? "backward" : "forward");
				},
				formulaOf: ({ plain: e }) => /* @__PURE__ */ K("span", {
					class: "formula",
					children: e
				}),
				isPageWide: !1
			}),
			s?.id === "update" && /* @__PURE__ */ K("p", {
				class: "quiet",
				children: "In the kernel, net.fit(x, y, steps=1) takes a step, and refresh() of the picture shows it."
			}),
			/* @__PURE__ */ K("details", { children: [/* @__PURE__ */ K("summary", { children: "The numbers in tables" }), /* @__PURE__ */ K(Jn, {
				numbers: h,
				direction: r,
				isKnown: y,
				onPick: u,
				onPoint: f
			})] }),
			/* @__PURE__ */ K(bn, {})
		]
	});
}
function ir({ model: e, state: t }) {
	let { changes: n, problem: r } = t, i = Object.keys(n).length;
	return i === 0 ? null : /* @__PURE__ */ K("p", {
		class: "changes row",
		children: [
			/* @__PURE__ */ K("span", { children: [i === 1 ? "One number is" : `${i} numbers are`, " changed here, in a copy: the network itself is as it was."] }),
			r && /* @__PURE__ */ K("span", {
				role: "alert",
				children: r
			}),
			/* @__PURE__ */ K("button", {
				type: "button",
				onClick: () => Fn(e, {}),
				children: "Take back"
			})
		]
	});
}
// src/widget/widget.tsx
function ar({ model: e, el: t }) {
	return t.classList.add("backpropd"), P(/* @__PURE__ */ K(rr, { model: e }), t), () => P(null, t);
}
var or = { render: ar };
export { or as default };
