// Connect's declarations name the DOM's HeadersInit; without the DOM library it would silently become `any`.
type HeadersInit = import("undici-types").HeadersInit;
