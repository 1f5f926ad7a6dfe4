package sqlite

import (
	"strconv"

	z "zombiezen.com/go/sqlite"

	"github.com/annals-dev/annals/audit"
)

// lostScope is the namespace of records whose row in the table of scopes is
// gone; their tenant is the number of that row.
const lostScope = "(lost)"

// scopeName reads the names of a scope by its number.
func scopeName(s *Store, c *conn, number int64) (audit.Scope, error) {
	var name audit.Scope
	found, err := c.one(s.sql("SELECT namespace, tenant FROM @scopes WHERE scope = ?"), func(st *z.Stmt) {
		name = audit.Scope{Namespace: st.ColumnText(0), Tenant: st.ColumnText(1)}
	}, number)
	if err == nil && !found {
		name = lost(number)
	}
	return name, err
}

func lost(number int64) audit.Scope {
	return audit.Scope{Namespace: lostScope, Tenant: strconv.FormatInt(number, 10)}
}

// scopeNumber reads the number of a scope; ok is false when it has none yet.
func scopeNumber(s *Store, c *conn, name audit.Scope) (number int64, ok bool, err error) {
	ok, err = c.one(s.sql("SELECT scope FROM @scopes WHERE namespace = ? AND tenant = ?"), func(st *z.Stmt) {
		number = st.ColumnInt64(0)
	}, name.Namespace, name.Tenant)
	if err == nil && !ok && name.Namespace == lostScope {
		if n, e := strconv.ParseInt(name.Tenant, 10, 64); e == nil {
			return n, true, nil
		}
	}
	return number, ok, err
}

// scopesOf gives the numbers of the scopes that meet every condition on
// namespace and tenant; all is true when there is none.
func (v *view) scopesOf(filters []audit.Filter) (numbers []int64, all bool, err error) {
	var w where
	for i := range filters {
		switch f := &filters[i]; f.Field {
		case "namespace", "tenant":
			w.and()
			w.text("s."+f.Field, f)
		}
	}
	if len(w.args) == 0 {
		return nil, true, nil
	}
	st, err := v.conns[0].stmt(v.s.sql("SELECT s.scope FROM @scopes s WHERE " + w.sql.String()))
	if err != nil {
		return nil, false, err
	}
	for i, a := range w.args {
		bind(st, i+1, a)
	}
	for {
		more, err := st.Step()
		if err != nil || !more {
			return numbers, false, err
		}
		numbers = append(numbers, st.ColumnInt64(0))
	}
}
