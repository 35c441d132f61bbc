package Bitrix1C::Portal::Store;

# Copyright (C) the ngx_http_bitrix1c_module authors

# The data of the stand-in portal: a few tables, the lists of them as Bitrix
# makes them, and a history of all writes.  As in Bitrix, names that a table
# does not have are passed over without a word, in filters too.
#
# A table is a hash: fields [name, ...], type { name => "n" number, "s" string },
# rows { id => { name => value } }, last (the highest id), and fixed { name => 1 },
# what an update does not touch.

use strict;
use warnings;

use POSIX qw(strftime);
use Time::HiRes qw(time);

use Bitrix1C::Portal::Params qw(keys_of values_of);
use Bitrix1C::Standin::Request qw(quote);

use constant PAGE => 50;

# name:n is a number
my %FIELDS = (
    orders => [qw(accountNumber additionalInfo affiliateId:n canceled comments
        companyId:n currency dateCanceled dateInsert dateLock dateMarked
        dateStatus dateUpdate deducted discountValue:n empCanceledId:n
        empMarkedId:n empStatusId:n externalOrder id:n id1c lid lockedBy marked
        orderTopic payed personTypeId:n personTypeXmlId price:n reasonCanceled
        reasonMarked recountFlag recurringId responsibleId:n statusId
        statusXmlId taxValue:n updated1c userDescription userId:n version:n
        version1c xmlId)],
    products => [qw(active code dateCreate detailText iblockId:n id:n name
        purchasingCurrency purchasingPrice:n quantity:n sort:n timestampX
        weight:n xmlId)],
    prices => [qw(catalogGroupId:n currency extraId:n id:n price:n productId:n
        quantityFrom:n quantityTo:n timestampX)],
    storeProducts => [qw(amount:n id:n productId:n quantityReserved:n
        storeId:n)],
    deals => [qw(ID TITLE TYPE_ID STAGE_ID PROBABILITY CURRENCY_ID OPPORTUNITY
        COMPANY_ID CONTACT_ID BEGINDATE CLOSEDATE ASSIGNED_BY_ID CREATED_BY_ID
        DATE_CREATE DATE_MODIFY OPENED CLOSED COMMENTS CATEGORY_ID ORIGIN_ID
        ORIGINATOR_ID)],
);

my %COMPARE = (
    '<' => { n => sub { my ($x) = @_; return sub { $_[0] < $x } },
             s => sub { my ($x) = @_; return sub { $_[0] lt $x } } },
    '<=' => { n => sub { my ($x) = @_; return sub { $_[0] <= $x } },
              s => sub { my ($x) = @_; return sub { $_[0] le $x } } },
    '>' => { n => sub { my ($x) = @_; return sub { $_[0] > $x } },
             s => sub { my ($x) = @_; return sub { $_[0] gt $x } } },
    '>=' => { n => sub { my ($x) = @_; return sub { $_[0] >= $x } },
              s => sub { my ($x) = @_; return sub { $_[0] ge $x } } },
);


# how many rows of products, orders and deals reset_all() makes

sub new {
    my ($class, %opt) = @_;
    return bless {%opt}, $class;
}


sub reset_all {
    my ($self) = @_;

    # the portal's own rows are no writes of anybody
    @$self{qw(by ignored writes)} = (undef, 0, []);
    @$self{qw(tables pairs)} = ({}, {});

    for my $name (keys %FIELDS) {
        my $table = $self->{tables}{$name}
            = { name => $name, last => 0, rows => {}, json => {},
                key => $name eq 'deals' ? 'ID' : 'id' };

        for my $field (@{ $FIELDS{$name} }) {
            my ($field_name, $type) = split /:/, $field;
            push @{ $table->{fields} }, $field_name;
            $table->{type}{$field_name} = $type // 's';
        }

        $table->{fixed}{$table->{key}} = 1;
    }

    $self->{tables}{storeProducts}{fixed}{$_} = 1 for qw(productId storeId);

    $self->add_order({}) for 1 .. $self->{orders};
    $self->add_product($_) for 1 .. $self->{products};
    $self->add('deals', deal($_)) for 1 .. $self->{deals};

    return;
}


sub iso {
    my ($time) = @_;
    return strftime('%Y-%m-%dT%H:%M:%S', gmtime $time + 10_800) . '+03:00';
}


sub add_order {
    my ($self, $given) = @_;
    my $id = $self->{tables}{orders}{last} + 1;
    my $at = iso(1_709_276_400 + 3600 * $id);

    return $self->add('orders', { accountNumber => $id, additionalInfo => '',
        canceled => 'N', comments => '', currency => 'RUB', dateInsert => $at,
        dateStatus => $at, dateUpdate => $at, deducted => 'N',
        discountValue => 0, empStatusId => 1, externalOrder => 'N', id1c => '',
        lid => 's1', lockedBy => '', marked => 'N', orderTopic => '',
        payed => $id % 2 ? 'N' : 'Y', personTypeId => 3 + $id % 2,
        personTypeXmlId => '', price => 1000 + $id / 4, reasonCanceled => '',
        reasonMarked => '', recountFlag => 'Y', recurringId => '',
        responsibleId => 1, statusId => (qw(N P F))[$id % 3],
        statusXmlId => '', taxValue => 0, updated1c => 'N',
        userDescription => '', userId => 2, version => 0, version1c => '',
        xmlId => sprintf('bx_%013x', $id), %$given });
}


sub add_product {
    my ($self, $n) = @_;

    $self->add('products', { active => 'Y', code => "product-$n",
        dateCreate => '2024-02-28T12:00:00+03:00', iblockId => 14,
        name => "Товар $n", purchasingCurrency => 'RUB', quantity => 10,
        sort => 500, timestampX => '2024-03-01T12:00:00+03:00', weight => 0,
        xmlId => "p$n" });

    $self->add('prices', { catalogGroupId => 1, currency => 'RUB',
        price => 100 + $n, productId => $n,
        timestampX => '2024-03-01T12:00:00+03:00' });

    return $self->stock($n, 1, 10);
}


sub deal {
    my ($n) = @_;

    return { TITLE => "Сделка $n", TYPE_ID => 'SALE', STAGE_ID => 'NEW',
             CURRENCY_ID => 'RUB', OPPORTUNITY => sprintf('%.2f', 100 * $n),
             COMPANY_ID => 0, CONTACT_ID => $n, ASSIGNED_BY_ID => 1,
             CREATED_BY_ID => 1, OPENED => 'Y', CLOSED => 'N',
             CATEGORY_ID => 0, COMMENTS => '',
             BEGINDATE => '2024-03-01T03:00:00+03:00',
             DATE_CREATE => '2024-03-01T12:00:00+03:00',
             DATE_MODIFY => '2024-03-01T12:00:00+03:00' };
}


# the id of a new row

sub add {
    my ($self, $name, $given) = @_;
    my $table = $self->{tables}{$name};
    my $id = ++$table->{last};
    my $row = $table->{rows}{$id} = { $table->{key} => $id };

    for my $field (grep { $table->{type}{$_} } keys %$given) {
        $row->{$field} = taken($table, $field, $given->{$field})
            if $field ne $table->{key} && !ref $given->{$field};
    }

    $self->remember($name, $id, {%$row});
    return $id;
}


sub has {
    my ($self, $name, $id) = @_;
    return exists $self->{tables}{$name}{rows}{$id};
}


# the id of the new row of a product in a store

sub stock {
    my ($self, $product, $store, $amount) = @_;

    return $self->{pairs}{"$product/$store"}
        = $self->add('storeProducts', { productId => $product,
                           storeId => $store, amount => $amount,
                           quantityReserved => 0 });
}


# sets what is known of $given, an array of PHP; false if there is no such row

sub update {
    my ($self, $name, $id, $given) = @_;
    my $table = $self->{tables}{$name};
    my $row = $table->{rows}{$id} or return 0;
    my %set;

    for my $field (keys_of($given)) {
        my $type = $table->{type}{$field};

        if (!$type || $table->{fixed}{$field} || ref $given->{$field}) {
            $self->{ignored}++;
            next;
        }

        $row->{$field} = $set{$field}
            = taken($table, $field, $given->{$field});
    }

    delete $table->{json}{$id};

    if ($name eq 'orders') {
        $row->{version}++;
        $row->{dateUpdate} = iso(time);
    }

    $self->remember($name, $id, \%set);
    return 1;
}


# $self->{by} is whom a write belongs to: n, method and command

sub remember {
    my ($self, $name, $id, $set) = @_;
    my $by = $self->{by} or return;

    push @{ $self->{writes} }, [@$by{qw(n method command)}, time, $name, $id,
                                $set];
    return;
}


# a line of JSON for each write

sub history {
    my ($self) = @_;
    my @lines;

    for my $write (@{ $self->{writes} }) {
        my ($n, $method, $command, $time, $name, $id, $set) = @$write;
        my $table = $self->{tables}{$name};
        my $row = $name eq 'storeProducts'
            ? join '/', @{ $table->{rows}{$id} }{qw(productId storeId)} : $id;

        push @lines, sprintf '{"n":%d,"time":%.6f,"method":"%s","command":%s,'
            . '"row":"%s %s","set":{%s}}', $n, $time, $method, quote($command),
            $name, $row, join ',',
            map { "\"$_\":" . value($table, $_, $set->{$_}) }
            grep { $_ ne $table->{key} } sort keys %$set;
    }

    return \@lines;
}


# a value as the table has it: numbers are those that PHP reads in them

sub taken {
    my ($table, $field, $value) = @_;

    return $value if !defined $value || $table->{type}{$field} eq 's';
    return $value + 0 if $value ne '' && $value !~ tr/0-9//c;
    return $value =~ /^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/
           ? $1 + 0 : 0;
}


# its JSON

sub value {
    my ($table, $field, $value) = @_;

    return !defined $value ? 'null'
           : $table->{type}{$field} eq 'n' ? $value : quote($value);
}


# the row as JSON, with the @$fields or all; undef if there is none

sub row {
    my ($self, $name, $id, $fields) = @_;
    my $table = $self->{tables}{$name};
    my $row = $table->{rows}{$id} or return;

    if (!$fields) {
        return $table->{json}{$id}
            //= $self->row($name, $id, $table->{fields});
    }

    my $type = $table->{type};

    return '{' . join(',', map {
        my $value = $row->{$_};
        "\"$_\":" . (!defined $value ? 'null'
                     : $type->{$_} eq 'n' ? $value : quote($value))
    } @$fields) . '}';
}


# all rows of a table as JSON, undef if there is no such table

sub all {
    my ($self, $name) = @_;
    my $table = $self->{tables}{$name} or return;

    return [map { $self->row($name, $_) }
            sort { $a <=> $b } keys %{ $table->{rows} }];
}


# a page: (rows as a list in JSON, total, next), the last two may be undefined

sub page {
    my ($self, $name, $params) = @_;
    my $table = $self->{tables}{$name};
    my $start = $params->{start} // 0;
    my $ids = $self->matching($table, $params->{filter});

    sort_ids($table, $ids, $params->{order});

    my $total = @$ids;
    my $counted = $start ne '-1';
    $start = $counted && $start =~ /^\d+$/ ? $start - $start % PAGE : 0;

    my $end = $start + PAGE < $total ? $start + PAGE : $total;
    my $fields = $self->selected($table, $params->{select});
    my $rows = join ',', map { $self->row($name, $_, $fields) }
               @$ids[$start .. $end - 1];

    return ("[$rows]", $counted ? $total : undef,
            $counted && $end < $total ? $end : undef);
}


# undef is all

sub selected {
    my ($self, $table, $select) = @_;
    my @fields;

    for my $field (grep { defined } values_of($select)) {
        return if $field eq '*';
        defined $table->{type}{$field} ? push @fields, $field
                                       : $self->{ignored}++;
    }

    return @fields ? \@fields : undef;
}


sub matching {
    my ($self, $table, $filter) = @_;
    my $rows = $table->{rows};
    my @ids;

    for my $name (keys_of($filter)) {
        my ($how, $field) = $name =~ /^([!<>=@%]*)(.*)$/s;
        my $type = $table->{type}{$field};

        if (!$type) {
            $self->{ignored}++;
            next;
        }

        if ($field eq $table->{key} && $how =~ /^=?$/) {
            my %wanted = map { $_ // '' => 1 } values_of($filter->{$name});
            push @ids, [grep { $rows->{$_} } keys %wanted];
            next;
        }

        my $test = condition($how, $type, [values_of($filter->{$name})]);
        my $among = @ids ? pop @ids : [keys %$rows];
        my $none = $type eq 'n' ? 0 : '';
        push @ids, [grep { $test->($rows->{$_}{$field} // $none) } @$among];
    }

    my $found = shift @ids // [keys %$rows];

    for my $more (@ids) {
        my %in = map { $_ => 1 } @$more;
        $found = [grep { $in{$_} } @$found];
    }

    return $found;
}


# code that says whether the value of a row is what it has to be

sub condition {
    my ($how, $type, $wanted) = @_;
    my $not = $how =~ s/^!//;
    my $first = $wanted->[0] // '';

    if ($how eq '%') {
        my $part = lc $first;
        return sub { (index(lc $_[0], $part) >= 0) != $not };
    }

    if (my $compare = $COMPARE{$how}) {
        $first = ($first || 0) + 0 if $type eq 'n';
        my $test = $compare->{$type}->($first);
        return $not ? sub { !$test->(@_) } : $test;
    }

    my %wanted = map { ($type eq 'n' ? ($_ || 0) + 0 : $_ // '') => 1 }
                 @$wanted;

    return $not ? sub { !$wanted{$_[0]} } : sub { $wanted{$_[0]} };
}


# by id unless "order" knows better

sub sort_ids {
    my ($table, $ids, $order) = @_;
    my $rows = $table->{rows};
    my @by;

    for my $field (grep { $table->{type}{$_} } keys_of($order)) {
        my $sign = lc($order->{$field} // '') eq 'desc' ? -1 : 1;
        push @by, [$field, $table->{type}{$field}, $sign];
    }

    if (!@by) {
        @$ids = sort { $a <=> $b } @$ids;
        return;
    }

    no warnings 'numeric';
    @$ids = sort {
        my $result = 0;

        for my $by (@by) {
            my ($x, $y) = map { $rows->{$_}{$by->[0]} // '' } $a, $b;
            $result = $by->[2] * ($by->[1] eq 'n' ? ($x || 0) <=> ($y || 0)
                                                  : $x cmp $y);
            last if $result;
        }

        $result || $a <=> $b;
    } @$ids;

    return;
}

1;
